import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Ran, type RunOptions, run, TestEngine } from "../engine.ts";
import { root } from "../tidy/source-tree.ts";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

const context = (name: string, files: Readonly<Record<string, string>>): string => engine.directory(name, files);

const buildWith = (options: RunOptions, ...args: string[]): Promise<Ran> =>
  run(
    [join(root, "dist/bin/hull"), "build", ...args],
    {
      DOCKER_HOST: `unix://${engine.socket}`,
      DOCKER_CONFIG: engine.path("config"),
      DOCKER_BUILDKIT: "1",
      BUILD_SECRET: "of the environment",
    },
    options,
  );
const build = (...args: string[]): Promise<Ran> => buildWith({}, ...args);

test("hull build builds over BuildKit's protocol, and the second time from the cache", async () => {
  const directory = context("first", {
    Dockerfile:
      'FROM busybox\nWORKDIR /app\nCOPY . .\nRUN echo made > made\nRUN true\nARG WHO=nobody\nLABEL who=$WHO\nCMD ["sh", "-c", "cat hello.txt made"]\n',
    "hello.txt": "hello\n",
  });
  const ids = engine.path("iid");
  const built = await build("-t", "first", "--build-arg", "WHO=me", "--label", "a=b", "--iidfile", ids, directory);
  assert.equal(built.code, 0, built.stderr);
  assert.equal(built.stdout, "");
  assert.match(built.stderr, /^#1 \[internal\] load build definition from Dockerfile\n/);
  assert.match(built.stderr, /\n#\d+ \[4\/5\] RUN echo made > made\n#\d+ DONE \d\.\ds\n/);
  assert.equal(await engine.ok("run", "--rm", "first"), "hello\nmade");
  assert.equal(await engine.inspect("first", "{{.Config.Labels.a}} {{.Config.Labels.who}}"), "b me");
  assert.equal(await engine.inspect("first", "{{.Id}}"), readFileSync(ids, "utf8"));
  const again = await build("-q", "--build-arg", "WHO=me", "--label", "a=b", directory);
  assert.equal(again.code, 0, again.stderr);
  assert.equal(again.stdout, `${readFileSync(ids, "utf8")}\n`);
  const shown = await build("--build-arg", "WHO=me", "--label", "a=b", directory);
  assert.equal(shown.stderr.match(/ CACHED\n/g)?.length, 5, shown.stderr);
});

test("a failing step ends the build with its output, its error and exit code 1", async () => {
  const directory = context("fails", { Dockerfile: "FROM busybox\nRUN echo before; exit 7\nRUN echo never\n" });
  const failed = await build(directory);
  assert.equal(failed.code, 1);
  const error = 'process "/bin/sh -c echo before; exit 7" did not complete successfully: exit code: 7';
  assert.ok(failed.stderr.includes(` ERROR: ${error}\n------\n > [2/3] RUN echo before; exit 7:\n`), failed.stderr);
  assert.match(failed.stderr, /:\n\d\.\d{3} before\n------\n/);
  assert.ok(failed.stderr.endsWith(`ERROR: failed to build: failed to solve: ${error}\n`), failed.stderr);
  assert.doesNotMatch(failed.stderr, /\[3\/3\] RUN echo never/);
  assert.match(failed.stderr, /Dockerfile:2\n-+\n.*\n +2 \| >>> RUN echo before; exit 7\n/);
});

test("only what is used and not ignored is sent; links in it are followed", async () => {
  const directory = context("used", {
    Dockerfile: "FROM busybox\nCOPY link src /c/\nRUN find /c -type f | sort > /list\nCMD cat /list\n",
    ".dockerignore": "**/*.log\n",
    "real/file": "1",
    "src/a": "2",
    "src/a.log": "3",
    "src/deep/er/b": "4",
    unused: "5",
  });
  symlinkSync("real", join(directory, "link"));
  const built = await build("-t", "used", "--explain-context", directory);
  assert.equal(built.code, 0, built.stderr);
  assert.match(built.stderr, /Build context: 3B in 3 files\n/);
  assert.equal(await engine.ok("run", "--rm", "used"), "/c/a\n/c/deep/er/b\n/c/file");
});

/** hull build by way of another command. */
const buildBy = (wrap: readonly string[], hull: string, ...args: string[]): Promise<Ran> =>
  run([...wrap, hull, "build", ...args], {
    DOCKER_HOST: `unix://${engine.socket}`,
    DOCKER_CONFIG: engine.path("config"),
  });

test("a client in another namespace of processes sends its files", async () => {
  const directory = context("elsewhere", { Dockerfile: "FROM busybox\nCOPY f /\n", f: "sent\n" });
  const built = await buildBy(
    ["unshare", "--pid", "--fork", "--mount-proc"],
    join(root, "dist/bin/hull"),
    "-q",
    directory,
  );
  assert.equal(built.code, 0, built.stderr);
  assert.equal(await engine.ok("run", "--rm", built.stdout.trim(), "cat", "/f"), "sent");
});

test("the engine reads with the rights of the client: what that one may not read is not built from", async () => {
  const directory = context("rights", { Dockerfile: "FROM busybox\nCOPY f /\n", f: "for all\n" });
  const [command, libraries] = ["bin/hull", "libexec"].map((name) => join(root, "dist", name));
  execFileSync("mkdir", [engine.path("bin")]);
  execFileSync("cp", ["-aL", "--reflink=auto", command!, engine.path("bin")]);
  execFileSync("cp", ["-aL", "--reflink=auto", libraries!, engine.path("")]);
  for (const path of [engine.path(""), engine.execRoot]) chmodSync(path, 0o711);
  const home = engine.path("nobody");
  mkdirSync(home);
  chownSync(home, 65534, 65534);
  const nobody = ["env", `DOCKER_CONFIG=${home}`, "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
  chmodSync(engine.socket, 0o666);
  try {
    const hull = engine.path("bin/hull");
    const allowed = await buildBy(nobody, hull, "-q", directory);
    assert.equal(allowed.code, 0, allowed.stderr);
    assert.equal(await engine.ok("run", "--rm", allowed.stdout.trim(), "cat", "/f"), "for all");
    writeFileSync(join(directory, "f"), "for root\n");
    chmodSync(join(directory, "f"), 0o600);
    const refused = await buildBy(nobody, hull, directory);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /permission denied/i);
  } finally {
    chmodSync(engine.socket, 0o660);
  }
});

test("builds of one directory at once take each file in once", async () => {
  const files = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`d/${i}`, `${i}`.repeat(2000)]));
  const directory = context("shared", { Dockerfile: "FROM busybox\nCOPY . /c\n", ...files });
  for (const name of ["Dockerfile", ...Object.keys(files)]) utimesSync(join(directory, name), 1e9, 1e9);
  const ran = await Promise.all(Array.from({ length: 6 }, () => build("--progress=plain", directory)));
  for (const { code, stderr } of ran) assert.equal(code, 0, stderr);
  const taken = ran.filter(({ stderr }) => /transferring context: [\d.]+[kMG]?B/.test(stderr));
  assert.equal(taken.length, 1, taken.map(({ stderr }) => stderr).join("\n"));
});

test("empty files are copied, by COPY and ADD, and a directory that is made of a context is new", async () => {
  const directory = context("empty", {
    Dockerfile:
      "FROM busybox\nCOPY . /c\nADD none /a/\nCMD stat -c '%s %n' /c/none /c/d/none /a/none; [ $(stat -c %Y /c) -gt 1500000000 ] && echo new\n",
    none: "",
    "d/none": "",
  });
  await engine.must(build("-t", "empty", directory));
  assert.equal(await engine.ok("run", "--rm", "empty"), "0 /c/none\n0 /c/d/none\n0 /a/none\nnew");
});

test("directories of the same name are never mixed", async () => {
  const dockerfile = "FROM busybox\nCOPY file /file\nCMD cat /file\n";
  for (const side of ["left", "right"])
    await engine.must(build("-t", side, context(`${side}/app`, { Dockerfile: dockerfile, file: side })));
  assert.equal(await engine.ok("run", "--rm", "left"), "left");
  assert.equal(await engine.ok("run", "--rm", "right"), "right");
});

test("secrets are there for the command that asks for them, of files and of the environment", async () => {
  const directory = context("secrets", {
    Dockerfile:
      "FROM busybox\nRUN --mount=type=secret,id=a --mount=type=secret,id=b cat /run/secrets/a /run/secrets/b > /both\nCMD cat /both\n",
    "secret.txt": "of a file, ",
  });
  const path = join(directory, "secret.txt");
  await engine.must(
    build("-t", "secrets", "--secret", `id=a,src=${path}`, "--secret", "id=b,env=BUILD_SECRET", directory),
  );
  assert.equal(await engine.ok("run", "--rm", "secrets"), "of a file, of the environment");
});

test("the Dockerfile and the context may come on standard input", async () => {
  const directory = context("stdin", { Dockerfile: "FROM nothing\n", file: "from the context" });
  const text = "FROM busybox\nCOPY file /file\nCMD cat /file\n";
  await engine.must(buildWith({ input: text }, "-t", "stdin:1", "-f", "-", directory));
  assert.equal(await engine.ok("run", "--rm", "stdin:1"), "from the context");
  await engine.must(buildWith({ input: "FROM busybox\nCMD echo alone\n" }, "-t", "stdin:2", "-"));
  assert.equal(await engine.ok("run", "--rm", "stdin:2"), "alone");
  writeFileSync(join(directory, "Dockerfile"), text);
  await engine.must(run(["tar", "-czf", engine.path("context.tgz"), "-C", directory, "."], {}));
  const archive = readFileSync(engine.path("context.tgz"));
  await engine.must(buildWith({ input: archive }, "-t", "stdin:3", "-"));
  assert.equal(await engine.ok("run", "--rm", "stdin:3"), "from the context");
});

test("named contexts are directories and images", async () => {
  const directory = context("named", {
    Dockerfile: "FROM base\nCOPY --from=other file /file\nCMD cat /file\n",
    "other/file": "of the other",
  });
  const contexts = ["--build-context", `other=${join(directory, "other")}`];
  await engine.must(build("-t", "named", ...contexts, "--build-context", "base=docker-image://busybox", directory));
  assert.equal(await engine.ok("run", "--rm", "named"), "of the other");
});

test("metadata and raw progress are JSON", async () => {
  const directory = context("json", { Dockerfile: "FROM busybox\nRUN echo said\n" });
  const path = engine.path("metadata.json");
  const built = await build("--metadata-file", path, "--progress", "rawjson", directory);
  assert.equal(built.code, 0, built.stderr);
  const metadata = JSON.parse(readFileSync(path, "utf8")) as Record<string, string>;
  assert.match(metadata["containerimage.config.digest"] ?? "", /^sha256:[0-9a-f]{64}$/);
  const logs = built.stderr
    .trim()
    .split("\n")
    .flatMap((line) => (JSON.parse(line) as { logs?: { data: string }[] }).logs ?? []);
  assert.equal(logs.map(({ data }) => Buffer.from(data, "base64")).join(""), "said\n");
});

const refused: readonly (readonly [readonly string[], RegExp])[] = [
  [["/nowhere"], /unable to prepare context: path "\/nowhere" not found/],
  [["-t", "Upper", "."], /invalid tag "Upper": .*repository name must be lowercase/],
  [["--push", "."], /--push is not available yet/],
  [["--secret", "src=x", "."], /secret missing "id"/],
  [["-f", "-", "-"], /can't use stdin for both build context and dockerfile/],
  [["-f", "missing", "."], /failed to read dockerfile: open missing: no such file or directory/],
];
for (const [args, message] of refused)
  test(`refused: hull build ${args.join(" ")}`, async () => {
    const ran = await build(...args);
    assert.equal(ran.code, 1);
    assert.match(ran.stderr, message);
    assert.ok(!existsSync("/nowhere"));
  });
