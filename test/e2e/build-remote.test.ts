/** Builds that fetch what they need themselves: from URLs and repositories. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { type GitServer, serveGit, TestRepository } from "../../src/buildkit/downloads/git-harness.ts";
import { processesOf, type Ran, type RunOptions, run, TestEngine } from "../engine.ts";
import { root } from "../tidy/source-tree.ts";

let engine: TestEngine;
let base: string;
/** What the server answers by path, and what it was asked for. */
const pages = new Map<string, (request: IncomingMessage, response: ServerResponse) => void>();
const seen: IncomingMessage[] = [];
const server = createServer((request, response) => {
  seen.push(request);
  const page = pages.get(request.url ?? "");
  if (page) page(request, response);
  else response.writeHead(404).end();
});

let gits: GitServer;
let app: TestRepository;
let first: string;

before(async () => {
  engine = await TestEngine.start();
  gits = await serveGit(engine.path("remotes"));
  app = new TestRepository(engine.path("remotes/app"));
  first = app.commit({
    Dockerfile: "FROM busybox\nCOPY . /c\nCMD cat /c/hello.txt; find /c | sort\n",
    "hello.txt": "hello of git\n",
    "sub/Dockerfile": "FROM busybox\nCOPY x /x\nCMD cat /x\n",
    "sub/x": "of the subdirectory",
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
after(async () => {
  gits?.[Symbol.dispose]();
  server.close();
  server.closeAllConnections();
  await engine?.[Symbol.asyncDispose]();
});
beforeEach(() => {
  pages.clear();
  seen.length = 0;
});

const context = (name: string, files: Readonly<Record<string, string>>): string => engine.directory(name, files);

const buildAs = (buildkit: "0" | "1", options: RunOptions, args: readonly string[]): Promise<Ran> =>
  run(
    [join(root, "dist/bin/hull"), "build", ...args],
    {
      DOCKER_HOST: `unix://${engine.socket}`,
      DOCKER_CONFIG: engine.path("config"),
      DOCKER_BUILDKIT: buildkit,
      FILE_TOKEN: "s3cret",
    },
    options,
  );
const build = (...args: string[]): Promise<Ran> => buildAs("1", {}, args);
const classic = (...args: string[]): Promise<Ran> => buildAs("0", {}, args);
const ran = (image: string): Promise<string> => engine.ok("run", "--rm", image);

const MODIFIED = "Wed, 21 Oct 2015 07:28:00 GMT";
const text =
  (body: string | Buffer, headers: Readonly<Record<string, string>> = {}) =>
  (request: IncomingMessage, response: ServerResponse): void => {
    if (headers.ETag !== undefined && request.headers["if-none-match"] === headers.ETag) response.writeHead(304).end();
    else response.writeHead(200, headers).end(body);
  };

test("ADD of a URL: the file with mode 0600 and the server's time; unchanged, the next build is cached", async () => {
  pages.set("/files/data.txt", text("of a server\n", { ETag: '"1"', "Last-Modified": MODIFIED }));
  const dockerfile = `FROM busybox\nADD ${base}/files/data.txt /d/\nCMD stat -c '%a %u %Y %n' /d/data.txt; cat /d/data.txt\n`;
  const directory = context("add-url", { Dockerfile: dockerfile });
  const built = await build("-t", "add-url", directory);
  assert.equal(built.code, 0, built.stderr);
  assert.equal(await ran("add-url"), `600 0 ${Date.parse(MODIFIED) / 1000} /d/data.txt\nof a server`);
  const again = await build("-t", "add-url", directory);
  assert.match(again.stderr, /ADD http:[^\n]*\n#\d+ CACHED\n/);
  assert.equal(seen.length, 2);
  pages.set("/files/data.txt", text("changed\n", { ETag: '"2"' }));
  await engine.must(build("-t", "add-url", directory));
  assert.match(await ran("add-url"), /^600 0 0 .*\nchanged$/);
});

test("ADD of a URL in the classic builder is the same file", async () => {
  pages.set("/c.txt", text("classic\n", { "Last-Modified": MODIFIED }));
  const directory = context("add-classic", {
    Dockerfile: `FROM busybox\nADD ${base}/c.txt /c\nCMD stat -c '%a %Y' /c; cat /c\n`,
  });
  await engine.must(classic("-t", "add-classic", directory));
  assert.equal(await ran("add-classic"), `600 ${Date.parse(MODIFIED) / 1000}\nclassic`);
});

test("ADD --checksum, --chmod and --unpack of URLs", async () => {
  const tree = context("packed", { "in/side": "unpacked" });
  await engine.must(run(["tar", "-czf", engine.path("packed.tgz"), "-C", tree, "in"], {}));
  const archive = readFileSync(engine.path("packed.tgz"));
  pages.set("/a.tgz", text(archive));
  const sum = `sha256:${createHash("sha256").update(archive).digest("hex")}`;
  const dockerfile = (checksum: string) =>
    `FROM busybox\nADD --checksum=${checksum} --unpack ${base}/a.tgz /u/\nADD --chmod=755 ${base}/a.tgz /plain\nCMD cat /u/in/side; stat -c ' %a %s' /plain\n`;
  await engine.must(build("-t", "packed", context("checksum", { Dockerfile: dockerfile(sum) })));
  assert.equal(await ran("packed"), `unpacked 755 ${archive.length}`);
  const wrong = `sha256:${"0".repeat(64)}`;
  const failed = await build(context("mismatch", { Dockerfile: dockerfile(wrong) }));
  assert.equal(failed.code, 1);
  assert.ok(failed.stderr.includes(`digest mismatch for ${base}/a.tgz: ${sum} (expected: ${wrong})`), failed.stderr);
});

test("a URL that is not there fails with its status and the Dockerfile's line", async () => {
  const failed = await build(context("missing", { Dockerfile: `FROM busybox\nADD ${base}/nothing /x\n` }));
  assert.equal(failed.code, 1);
  assert.match(failed.stderr, /invalid response status 404/);
  assert.match(failed.stderr, /Dockerfile:2\n-+\n.*\n +2 \| >>> ADD http:/);
});

test("a download is asked for with the client's secrets of its host, which appear nowhere", async () => {
  pages.set("/private", (request, response) => {
    if (request.headers.authorization === "Bearer s3cret") response.end("private\n");
    else response.writeHead(401).end();
  });
  const directory = context("private", { Dockerfile: `FROM busybox\nADD ${base}/private /p\nCMD cat /p\n` });
  const refused = await build(directory);
  assert.match(refused.stderr, /invalid response status 401; give credentials as the secret HTTP_AUTH_TOKEN_<host>/);
  const built = await build("-t", "private", "--secret", "id=HTTP_AUTH_TOKEN_127.0.0.1,env=FILE_TOKEN", directory);
  assert.equal(built.code, 0, built.stderr);
  assert.equal(await ran("private"), "private");
  assert.doesNotMatch(built.stderr + (await engine.ok("history", "--no-trunc", "private")), /s3cret/);
});

test("ADD of a repository: the files of a commit; cached while the reference names the same one", async () => {
  const remote = `${gits.url}/app.git`;
  const directory = context("add-git", {
    Dockerfile: `FROM busybox\nADD ${remote}#main:sub /s\nADD --keep-git-dir=true ${remote} /g\nCMD cat /s/x; test -f /g/.git/HEAD && cat /g/.git/HEAD\n`,
  });
  await engine.must(build("-t", "add-git", directory));
  assert.equal(await ran("add-git"), `of the subdirectory${first}`);
  const again = await build("-t", "add-git", directory);
  assert.equal(again.stderr.match(/ADD [^\n]*\n#\d+ CACHED\n/g)?.length, 4, again.stderr);
});

test("a repository that is not there, or has another commit, fails at the Dockerfile's line", async () => {
  for (const [options, why] of [
    [`${gits.url}/nosuch.git`, /fetch http:\/\/[^\n]*nosuch.git: [^\n]*not found/],
    [`--checksum=${"1".repeat(40)} ${gits.url}/app.git#main`, /expected checksum to match 1{40}, got [0-9a-f]{40}/],
  ] as const) {
    const failed = await build(context("no-git", { Dockerfile: `FROM busybox\nADD ${options} /x\n` }));
    assert.equal(failed.code, 1);
    assert.match(failed.stderr, why);
    assert.match(failed.stderr, /Dockerfile:2\n-+\n.*\n +2 \| >>> ADD /);
  }
});

for (const [title, buildkit] of [
  ["BuildKit's protocol", "1"],
  ["the classic protocol", "0"],
] as const) {
  const name = `remote${buildkit}`;
  const run1 = (...args: string[]): Promise<Ran> => buildAs(buildkit, {}, args);

  test(`a repository is a context by ${title}, as a whole or one of its directories`, async () => {
    await engine.must(run1("-t", name, `${gits.url}/app.git`));
    const listed = await ran(name);
    assert.match(listed, /^hello of git\n/);
    assert.equal(/\.git\/HEAD/.test(listed), buildkit === "0", "the classic builder packs the whole clone");
    await engine.must(run1("-t", name, `${gits.url}/app.git#main:sub`));
    assert.equal(await ran(name), "of the subdirectory");
    const failed = await run1(`${gits.url}/app.git#nosuch`);
    assert.equal(failed.code, 1);
    assert.match(failed.stderr, /repository does not contain ref nosuch/);
  });

  test(`an archive or a Dockerfile behind a URL is a context by ${title}`, async () => {
    const tree = context(`tree${buildkit}`, {
      Dockerfile: "FROM busybox\nCOPY d/file /file\nCMD cat /file\n",
      "other.Dockerfile": "FROM busybox\nCMD echo other\n",
      "d/file": "of an archive",
    });
    await engine.must(run(["tar", "-cJf", engine.path("context.txz"), "-C", tree, "."], {}));
    pages.set("/context.txz", text(readFileSync(engine.path("context.txz")), { ETag: '"t"' }));
    await engine.must(run1("-t", name, `${base}/context.txz`));
    assert.equal(await ran(name), "of an archive");
    await engine.must(run1("-t", name, "-f", "other.Dockerfile", `${base}/context.txz`));
    assert.equal(await ran(name), "other");
    pages.set("/alone", text("FROM busybox\nCMD echo alone\n", { "Content-Type": "text/plain" }));
    await engine.must(run1("-t", name, `${base}/alone`));
    assert.equal(await ran(name), "alone");
    pages.set("/junk", text(Buffer.from([1, 0, 2, 0])));
    for (const [path, why] of [
      ["/junk", /the build context is neither an archive nor a Dockerfile/],
      ["/nowhere", /invalid response status 404/],
    ] as const) {
      const failed = await run1(base + path);
      assert.equal(failed.code, 1);
      assert.match(failed.stderr, why);
    }
  });

  test(`an archive on standard input is a context by ${title}`, async () => {
    const tree = context(`sent${buildkit}`, {
      "d/Dockerfile": "FROM busybox\nCOPY file /file\nCMD cat /file\n",
      file: "sent",
    });
    await engine.must(run(["tar", "-czf", engine.path("sent.tgz"), "-C", tree, "."], {}));
    const input = readFileSync(engine.path("sent.tgz"));
    await engine.must(buildAs(buildkit, { input }, ["-t", name, "-f", "d/Dockerfile", "-"]));
    assert.equal(await ran(name), "sent");
    const cut = await buildAs(buildkit, { input: input.subarray(0, input.length - 20) }, ["-f", "d/Dockerfile", "-"]);
    assert.equal(cut.code, 1);
    assert.match(cut.stderr, /Error processing tar file/);
  });
}

test("a Dockerfile of the client's builds a context that is elsewhere", async () => {
  const input = "FROM busybox\nCOPY x /x\nCMD echo mine; cat /x\n";
  await engine.must(buildAs("1", { input }, ["-t", "mine", "-f", "-", `${gits.url}/app.git#:sub`]));
  assert.equal(await ran("mine"), "mine\nof the subdirectory");
  const file = join(context("mine", { "my.Dockerfile": input }), "my.Dockerfile");
  await engine.must(build("-t", "mine", "-f", file, `${gits.url}/app.git#:sub`));
  assert.equal(await ran("mine"), "mine\nof the subdirectory");
  const refused = await buildAs("0", { input }, ["-f", "-", `${gits.url}/app.git`]);
  assert.match(refused.stderr, /needs BuildKit's protocol/);
});

test("a Dockerfile's line is shown for what is wrong in a context that is elsewhere", async () => {
  pages.set("/bad", text("FROM busybox\nCOPY nothing /\n"));
  const failed = await build(`${base}/bad`);
  assert.match(failed.stderr, /context:2\n-+\n.*\n +2 \| >>> COPY nothing \/\n/);
});

test("named contexts: a repository, a URL, an image and a directory", async () => {
  pages.set("/named.txt", text("of a URL\n"));
  const directory = context("named", {
    Dockerfile:
      "FROM base\nCOPY --from=repo x /\nCOPY --from=page context /page\nCOPY --from=context f /\nCOPY mine /\nCMD cat /x /page /f /mine\n",
    mine: ", of the build's own",
  });
  const here = context("here", { f: "of a directory" });
  const contexts = {
    base: "docker-image://busybox",
    repo: `${gits.url}/app.git#main:sub`,
    page: `${base}/named.txt`,
    context: here,
  };
  const flags = Object.entries(contexts).flatMap(([name, value]) => ["--build-context", `${name}=${value}`]);
  await engine.must(build("-t", "named", ...flags, directory));
  assert.equal(await ran("named"), "of the subdirectoryof a URL\nof a directory, of the build's own");
});

/** An image with a layer of its own as an OCI layout in a directory, and no more in the engine. */
async function layout(name: string, file: string): Promise<string> {
  const made = context(`${name}-made`, { Dockerfile: `FROM busybox\nENV OF=${name}\nCOPY f /f\n`, f: file });
  await engine.must(build("-t", `${name}:v1`, made));
  const archive = engine.path(`${name}.tar`);
  await engine.ok("save", "-o", archive, `${name}:v1`);
  await engine.ok("rmi", `${name}:v1`);
  await engine.ok("builder", "prune", "-af");
  const directory = engine.path(name);
  mkdirSync(directory);
  await engine.must(run(["tar", "-xf", archive, "-C", directory], {}));
  return directory;
}

const onLayout = (): string =>
  context("on-layout", { Dockerfile: "FROM base\nCOPY --from=base f /again\nCMD echo $OF; cat /again\n" });

test("an image of an OCI layout is a named context, found by its tag or its digest", async () => {
  const directory = await layout("laid", "out\n");
  await engine.must(build("-t", "on-laid", "--build-context", `base=oci-layout://${directory}:v1`, onLayout()));
  assert.equal(await ran("on-laid"), "laid\nout");
  const { manifests } = JSON.parse(readFileSync(join(directory, "index.json"), "utf8")) as {
    manifests: { digest: string }[];
  };
  const byDigest = `base=oci-layout://${directory}@${manifests[0]!.digest}`;
  const again = await build("-t", "on-laid", "--build-context", byDigest, onLayout());
  assert.equal(again.code, 0, again.stderr);
  assert.match(again.stderr, /\[context base\] OCI load from client\n/);
});

test("an OCI layout without the tag, and one whose layer is damaged, are refused", async () => {
  const directory = await layout("damaged", "x".repeat(100_000));
  const untagged = await build("--build-context", `base=oci-layout://${directory}:v2`, onLayout());
  assert.equal(untagged.code, 1);
  assert.match(untagged.stderr, /could not be resolved: it has no image with the tag v2/);
  const index = JSON.parse(readFileSync(join(directory, "index.json"), "utf8")) as { manifests: { digest: string }[] };
  const blob = (digest: string) => join(directory, "blobs/sha256", digest.slice(7));
  const manifest = JSON.parse(readFileSync(blob(index.manifests[0]!.digest), "utf8")) as {
    layers: { digest: string }[];
  };
  const layer = blob(manifest.layers.at(-1)!.digest);
  const bytes = readFileSync(layer);
  bytes[bytes.length - 20]! ^= 1;
  writeFileSync(layer, bytes);
  const failed = await build("--build-context", `base=oci-layout://${directory}:v1`, onLayout());
  assert.equal(failed.code, 1);
  assert.match(failed.stderr, /load sha256:/);
  assert.match(failed.stderr, /Dockerfile:[12]\n/);
});

test("a client that goes in the middle of a download ends it", async () => {
  const asked = Promise.withResolvers<IncomingMessage>();
  pages.set("/endless", (request, response) => {
    response.writeHead(200);
    response.write("x", () => asked.resolve(request));
  });
  const directory = context("leaves", { Dockerfile: `FROM busybox\nADD ${base}/endless /x\n` });
  const going = build("-t", "leaves", directory);
  const { socket } = await asked.promise;
  const closed = new Promise<void>((done) => void socket.once("close", () => done()));
  const client = processesOf(directory).find((pid) => readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("leaves"));
  assert.ok(client);
  process.kill(client, "SIGKILL");
  await closed;
  assert.notEqual((await going).code, 0);
});
