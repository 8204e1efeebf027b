/** The unmodified buildx on hulld: BuildKit's API as its own client speaks it. */
import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { serveGit, TestRepository } from "../../src/buildkit/downloads/git-harness.ts";
import { buildxPlugin } from "../buildx-plugin.ts";
import { type Ran, type RunOptions, run, TestEngine } from "../engine.ts";

const plugin = buildxPlugin;
const skip = plugin === undefined ? "buildx is not installed (BUILDX=PATH names it)" : false;

let engine: TestEngine;
before(async () => {
  if (skip) return;
  engine = await TestEngine.start();
  mkdirSync(engine.path("config/cli-plugins"), { recursive: true });
  copyFileSync(plugin!, engine.path("config/cli-plugins/docker-buildx"));
});
after(async () => {
  await engine?.[Symbol.asyncDispose]();
});

const buildxWith = (options: RunOptions, ...args: string[]): Promise<Ran> =>
  run(
    ["docker", "buildx", ...args],
    { DOCKER_HOST: `unix://${engine.socket}`, DOCKER_CONFIG: engine.path("config"), SOME_TOKEN: "tok3n" },
    options,
  );
const buildx = (...args: string[]): Promise<Ran> => buildxWith({}, ...args);

const context = (name: string, files: Readonly<Record<string, string>>): string => engine.directory(name, files);

test("buildx builds an image that runs; built again every step is cached and the image is the same", {
  skip,
}, async () => {
  const directory = context("app", {
    Dockerfile:
      "FROM busybox AS a\nCOPY in/ /in/\nRUN cat /in/x > /out\nFROM busybox\nCOPY --from=a /out /out\nCMD cat /out\n",
    "in/x": "from buildx\n",
    ".dockerignore": "secret\n",
    secret: "not sent",
  });
  const first = await buildx("build", "--progress", "plain", "-t", "by-buildx", directory);
  assert.equal(first.code, 0, first.stderr);
  assert.match(first.stderr, /\[a 3\/3\] RUN cat \/in\/x > \/out\n/);
  // Shown again, when another step was between, it has its number.
  const loads = first.stderr.match(/^#\d+ \[internal\] load build context$/gm);
  assert.equal(new Set(loads).size, 1, first.stderr);
  assert.equal(await engine.ok("run", "--rm", "by-buildx"), "from buildx");
  const id = await engine.inspect("by-buildx", "{{.Id}}");
  const second = await buildx("build", "--progress", "plain", "-t", "by-buildx", directory);
  assert.equal(second.code, 0, second.stderr);
  assert.match(second.stderr, /\[a 3\/3\] RUN [^\n]*\n#\d+ CACHED\n/);
  assert.equal(await engine.inspect("by-buildx", "{{.Id}}"), id);
});

test("a failed command and a defect of the Dockerfile are shown with their lines", { skip }, async () => {
  const failing = context("failing", { Dockerfile: "FROM busybox\nRUN echo before\nRUN echo oops >&2; false\n" });
  const failed = await buildx("build", failing);
  assert.equal(failed.code, 1);
  assert.match(failed.stderr, /Dockerfile:3\n-+\n(.*\n)*.*>>> RUN echo oops >&2; false\n/);
  assert.match(failed.stderr, /oops\n/);
  assert.match(
    failed.stderr,
    /ERROR: failed to build: failed to solve: process "\/bin\/sh -c echo oops >&2; false" did not complete successfully: exit code: 1\n/,
  );
  const wrong = await buildx("build", context("wrong", { Dockerfile: "FROM busybox\nRUNN true\n" }));
  assert.match(wrong.stderr, /Dockerfile:2\n-+\n(.*\n)*.*>>> RUNN true\n/);
  assert.match(
    wrong.stderr,
    /failed to solve: dockerfile parse error on line 2: unknown instruction: RUNN \(did you mean RUN\?\)/,
  );
});

test("secrets reach the command that asks for them and nothing else; cache mounts stay", { skip }, async () => {
  const lines = [
    "FROM busybox",
    "ARG ROUND",
    "RUN --mount=type=secret,id=file cat /run/secrets/file | wc -c > /n",
    'RUN --mount=type=secret,id=token,env=TOKEN test "${#TOKEN}" = 5',
    "RUN --mount=type=cache,target=/c echo $ROUND >> /c/rounds; cat /c/rounds > /rounds",
  ];
  const directory = context("mounts", { Dockerfile: `${lines.join("\n")}\n`, "../s3cret": "very s3cret\n" });
  const secrets = ["--secret", `id=file,src=${engine.path("s3cret")}`, "--secret", "id=token,env=SOME_TOKEN"];
  for (const round of ["1", "2"]) {
    const built = await buildx("build", ...secrets, "--build-arg", `ROUND=${round}`, "-t", "mounts", directory);
    assert.equal(built.code, 0, built.stderr);
  }
  assert.equal(await engine.ok("run", "--rm", "mounts", "cat", "/n", "/rounds"), "12\n1\n2");
  const searched = await run(["grep", "-rlE", "very s3cret|tok3n", engine.path("data")], {});
  assert.equal(searched.stdout, "");
});

test("the cache is listed and pruned", { skip }, async () => {
  const used = await buildx("du");
  assert.equal(used.code, 0, used.stderr);
  assert.match(used.stdout, /^ID\s+RECLAIMABLE\s+SIZE/);
  const pruned = await buildx("prune", "-af");
  assert.equal(pruned.code, 0, pruned.stderr);
  assert.match(pruned.stdout, /Total:\s/);
  assert.doesNotMatch((await buildx("du")).stdout, /true|false/);
});

test("contexts that buildx does not have itself: a repository, an archive on standard input, a URL for ADD", {
  skip,
}, async () => {
  using gits = await serveGit(engine.path("remotes"));
  const dockerfile = "FROM busybox\nCOPY file /file\nCMD cat /file\n";
  new TestRepository(engine.path("remotes/app")).commit({ "sub/Dockerfile": dockerfile, "sub/file": "of git" });
  for (const url of [`${gits.url}/app.git#main:sub`, `${gits.url}/app.git?branch=main&subdir=sub`]) {
    await engine.must(buildx("build", "-t", "x-remote", url));
    assert.equal(await engine.ok("run", "--rm", "x-remote"), "of git");
  }
  const directory = context("sent", { Dockerfile: dockerfile, file: "sent" });
  await engine.must(run(["tar", "-cf", engine.path("sent.tar"), "-C", directory, "."], {}));
  const input = readFileSync(engine.path("sent.tar"));
  await engine.must(buildxWith({ input }, "build", "-t", "x-sent", "-"));
  assert.equal(await engine.ok("run", "--rm", "x-sent"), "sent");
  const added = context("added", { Dockerfile: `FROM scratch\nADD ${gits.url}/app.git#nosuch /\n` });
  const failed = await buildx("build", added);
  assert.match(failed.stderr, /repository does not contain ref nosuch/);
  assert.match(failed.stderr, /Dockerfile:2\n/);
});

test("an image of an OCI layout is a named context", { skip }, async () => {
  const made = context("laid-made", { Dockerfile: "FROM busybox\nCOPY f /f\n", f: "laid out" });
  await engine.must(buildx("build", "-t", "laid:v1", made));
  await engine.ok("save", "-o", engine.path("laid.tar"), "laid:v1");
  await engine.ok("rmi", "laid:v1");
  await engine.must(buildx("prune", "-af"));
  mkdirSync(engine.path("laid"));
  await engine.must(run(["tar", "-xf", engine.path("laid.tar"), "-C", engine.path("laid")], {}));
  const directory = context("on-layout", { Dockerfile: "FROM base\nCMD cat /f\n" });
  const { manifests } = JSON.parse(readFileSync(engine.path("laid/index.json"), "utf8")) as {
    manifests: { digest: string }[];
  };
  const base = `base=oci-layout://${engine.path("laid")}@${manifests[0]!.digest}`;
  await engine.must(buildx("build", "-t", "on-laid", "--build-context", base, directory));
  assert.equal(await engine.ok("run", "--rm", "on-laid"), "laid out");
});

test("checks, outline and targets are answered", { skip }, async () => {
  const directory = context("asked", { Dockerfile: "ARG V=1\nFROM busybox AS Base\n" });
  const checked = await buildx("build", "--check", directory);
  assert.equal(checked.code, 1);
  assert.match(checked.stdout, /^Check complete, 1 warning has been found!\n\nWARNING: StageNameCasing/);
  assert.equal(
    (await buildx("build", "--call=targets", directory)).stdout,
    "TARGET         DESCRIPTION\nbase (default) \n",
  );
  assert.match((await buildx("build", "--call=outline", directory)).stdout, /^TARGET: base\n/);
});

test("the history is listed, shown, read again and removed", { skip }, async () => {
  await buildx("build", context("kept", { Dockerfile: "FROM busybox\nRUN echo said so; false\n" }));
  const listed = await buildx("history", "ls", "--format", "{{.Ref}} {{.Status}}");
  assert.match(listed.stdout, /^\S+ Error\n/, listed.stderr);
  const id = listed.stdout.split(" ")[0]!.split("/").at(-1)!;
  const shown = await buildx("history", "inspect", id);
  assert.match(
    shown.stdout,
    /^Error:\s+Unknown process .* did not complete successfully: exit code: 1$/m,
    shown.stderr,
  );
  assert.match(shown.stdout, /Dockerfile:2\n-+\n.*\n.*>>> RUN echo said so; false\n/);
  assert.match((await buildx("history", "logs", id)).stderr, /\n#\d+ \d\.\d{3} said so\n/);
  await buildx("history", "rm", id);
  assert.doesNotMatch((await buildx("history", "ls")).stdout, new RegExp(id));
});
