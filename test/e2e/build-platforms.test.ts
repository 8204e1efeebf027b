/** Images for several platforms, as `hull build` makes them, the engine keeps them and registries get them. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Ran, run, TestEngine } from "../engine.ts";
import { root } from "../tidy/source-tree.ts";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

const BOTH = "linux/amd64,linux/arm64";
const CROSS = `FROM --platform=$BUILDPLATFORM busybox AS made
ARG TARGETPLATFORM TARGETOS TARGETARCH TARGETVARIANT
RUN echo "$TARGETPLATFORM $TARGETOS $TARGETARCH [$TARGETVARIANT]" > /about
FROM --platform=$BUILDPLATFORM busybox AS once
RUN head -c 16 /dev/urandom > /random
FROM scratch
COPY --from=made /about /about
COPY --from=once /random /random
COPY file /file
`;

const context = (name: string, dockerfile: string): string =>
  engine.directory(name, { Dockerfile: dockerfile, file: "of the context\n" });

const build = (...args: string[]): Promise<Ran> =>
  run([join(root, "dist/bin/hull"), "build", "--progress", "plain", ...args], {
    DOCKER_HOST: `unix://${engine.socket}`,
    DOCKER_CONFIG: engine.path("config"),
  });

test("files of each platform go into a directory of its own; what all share is built once", async () => {
  const directory = context("cross", CROSS);
  const out = engine.path("split");
  const { stderr } = await build("--platform", `${BOTH},linux/arm/v7`, "-o", out, directory).then((ran) => {
    assert.equal(ran.code, 0, ran.stderr);
    return ran;
  });
  assert.deepEqual(readdirSync(out).sort(), ["linux_amd64", "linux_arm64", "linux_arm_v7"]);
  const about = (name: string): string => readFileSync(join(out, name, "about"), "utf8");
  assert.equal(about("linux_amd64"), "linux/amd64 linux amd64 []\n");
  assert.equal(about("linux_arm64"), "linux/arm64 linux arm64 []\n");
  assert.equal(about("linux_arm_v7"), "linux/arm/v7 linux arm [v7]\n");
  const random = (name: string): string => readFileSync(join(out, name, "random"), "latin1");
  assert.equal(random("linux_amd64"), random("linux_arm64"));
  assert.match(stderr, /\[linux\/amd64 once 2\/2\] RUN head/);
  const tar = engine.path("split.tar");
  await engine.must(build("--platform", BOTH, "-o", `type=tar,dest=${tar}`, directory));
  mkdirSync(engine.path("untarred"));
  execFileSync("tar", ["-xf", tar, "-C", engine.path("untarred")]);
  assert.deepEqual(readdirSync(engine.path("untarred")).sort(), ["linux_amd64", "linux_arm64"]);
  for (const name of ["linux_amd64", "linux_arm64"]) {
    assert.equal(readFileSync(join(engine.path("untarred"), name, "about"), "utf8"), about(name));
    assert.equal(readFileSync(join(engine.path("untarred"), name, "file"), "utf8"), "of the context\n");
  }
});

test("one platform of a map has a directory where it is asked for, several cannot share one", async () => {
  const directory = context("split-flag", "FROM scratch\nCOPY file /\n");
  const out = engine.path("one");
  await engine.must(build("-o", `type=local,dest=${out},platform-split=true`, directory));
  assert.deepEqual(readdirSync(out), ["linux_amd64"]);
  const shared = await build("--platform", BOTH, "-o", `type=local,dest=${out},platform-split=false`, directory);
  assert.equal(shared.code, 1);
  assert.match(shared.stderr, /files of several platforms go into one directory each/);
});

test("an index is kept: listed once, run on this machine, each platform the base of further builds", async () => {
  const directory = context("kept", "FROM busybox\nCOPY file /file\nCMD cat /file\n");
  const only = await build("--platform", BOTH, "-t", "several", directory);
  assert.equal(only.code, 1, "busybox is here for this machine only, and nobody has it for the other");
  const made = context("kept-scratch", CROSS);
  const metadata = engine.path("metadata.json");
  await engine.must(build("--platform", BOTH, "-t", "several", "--metadata-file", metadata, made));
  const facts = JSON.parse(readFileSync(metadata, "utf8")) as Record<string, { mediaType?: string }>;
  assert.equal(facts["containerimage.descriptor"]?.mediaType, "application/vnd.oci.image.index.v1+json");
  const listed = await engine.ok("images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", "reference=several");
  assert.equal(listed, "several:latest");
  assert.equal(await engine.inspect("several", "{{.Os}}/{{.Architecture}}"), "linux/amd64");
  const on = context("on-several", "FROM several\nCOPY file /more\n");
  const out = engine.path("on-several-out");
  await engine.must(build("--platform", BOTH, "-o", out, on));
  for (const [name, about] of [
    ["linux_amd64", "linux/amd64 linux amd64 []\n"],
    ["linux_arm64", "linux/arm64 linux arm64 []\n"],
  ] as const) {
    assert.equal(readFileSync(join(out, name, "about"), "utf8"), about);
    assert.equal(readFileSync(join(out, name, "more"), "utf8"), "of the context\n");
  }
  const created = await engine.ok("create", "--platform", "linux/arm64", "several", "/about");
  await engine.ok("cp", `${created}:/about`, engine.path("about-arm64"));
  assert.equal(readFileSync(engine.path("about-arm64"), "utf8"), "linux/arm64 linux arm64 []\n");
  const other = await engine.docker("create", "--pull", "never", "--platform", "linux/s390x", "several", "/about");
  assert.match(other.stderr, /No such image|does not match the specified platform/);
  await engine.ok("rm", created);
});

test("an image for other machines only is listed, and can be removed", async () => {
  const directory = context("foreign", "FROM scratch\nCOPY file /\n");
  await engine.must(build("--platform", "linux/arm64,linux/riscv64", "-t", "foreign", directory));
  assert.equal(await engine.inspect("foreign", "{{.Architecture}}"), "arm64");
  await engine.ok("rmi", "foreign");
});

test("a command for a machine that nobody emulates fails before anything runs, by its name, platform and remedy", async () => {
  const on = context("for-arm", CROSS);
  await engine.must(build("--platform", BOTH, "-t", "for-arm", on));
  const directory = context("foreign-run", "FROM for-arm\nRUN echo before\nRUN echo after\n");
  const failed = await build("--platform", BOTH, directory);
  assert.equal(failed.code, 1);
  assert.match(
    failed.stderr,
    /RUN echo before: a command for linux\/arm64 cannot run on this machine \(linux\/amd64\)/,
  );
  assert.match(failed.stderr, /binfmt_misc .*FROM --platform=\$BUILDPLATFORM/);
  assert.match(failed.stderr, />>> RUN echo before/);
  assert.doesNotMatch(failed.stderr, /^#\d+ \[linux\/(amd|arm)64 2\/3\]/m);
});
