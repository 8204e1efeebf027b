import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Ran, run, TestEngine } from "../engine.ts";
import { root } from "../tidy/source-tree.ts";

let engine: TestEngine;
let context: string;
before(async () => {
  engine = await TestEngine.start();
  context = engine.path("context");
  mkdirSync(context);
  writeFileSync(
    join(context, "Dockerfile"),
    `FROM busybox AS made
WORKDIR /out
RUN mkdir -p bin deep/er && echo program > bin/tool && chmod 4755 bin/tool && ln bin/tool bin/other && ln -s ../bin/tool deep/link && : > empty \\
    && head -c 3000000 /dev/zero | tr '\\0' x > large && echo ü > 'odd é name' && touch -d '2001-02-03 04:05:06' deep/er/old && mkfifo pipe
FROM scratch
COPY --from=made /out /
`,
  );
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

const build = (...args: string[]): Promise<Ran> =>
  run([join(root, "dist/bin/hull"), "build", ...args, context], {
    DOCKER_HOST: `unix://${engine.socket}`,
    DOCKER_CONFIG: engine.path("config"),
  });

test("a result as a directory: files, modes, links, times; what was there stays", async () => {
  const out = engine.path("out");
  mkdirSync(join(out, "bin"), { recursive: true });
  writeFileSync(join(out, "mine"), "mine");
  writeFileSync(join(out, "bin/tool"), "of before");
  const { code, stderr } = await build("-o", out);
  assert.equal(code, 0, stderr);
  assert.match(stderr, /exporting to client directory/);
  const names = readdirSync(out, { recursive: true, encoding: "utf8" }).sort();
  assert.deepEqual(names, [
    "bin",
    "bin/other",
    "bin/tool",
    "deep",
    "deep/er",
    "deep/er/old",
    "deep/link",
    "empty",
    "large",
    "mine",
    "odd é name",
  ]);
  assert.equal(readFileSync(join(out, "bin/tool"), "utf8"), "program\n");
  assert.equal(statSync(join(out, "bin/tool")).mode & 0o7777, 0o4755);
  assert.equal(statSync(join(out, "bin/tool")).ino, statSync(join(out, "bin/other")).ino);
  assert.equal(readlinkSync(join(out, "deep/link")), "../bin/tool");
  assert.equal(statSync(join(out, "deep/er/old")).mtimeMs, Date.UTC(2001, 1, 3, 4, 5, 6));
  assert.equal(readFileSync(join(out, "large"), "latin1"), "x".repeat(3_000_000));
  assert.equal(statSync(join(out, "empty")).size, 0);
  const images = await engine.ok("images", "-aq");
  assert.equal(images.split("\n").length, 1, "no image is made of it");
});

test("a link in the place of a directory is not written through", async () => {
  const out = engine.path("linked");
  mkdirSync(out);
  mkdirSync(engine.path("elsewhere"));
  symlinkSync(engine.path("elsewhere"), join(out, "bin"));
  const { code, stderr } = await build("-o", `type=local,dest=${out}`);
  assert.equal(code, 1);
  assert.match(stderr, /linked\/bin is no directory, but one of the result/);
  assert.deepEqual(readdirSync(engine.path("elsewhere")), []);
});

test("a result as a tar, in a file and on standard output", async () => {
  const path = engine.path("result.tar");
  const { code, stderr } = await build("-o", `type=tar,dest=${path}`);
  assert.equal(code, 0, stderr);
  const unpacked = engine.path("unpacked");
  mkdirSync(unpacked);
  execFileSync("tar", ["-xpf", path, "-C", unpacked]);
  assert.equal(readFileSync(join(unpacked, "bin/other"), "utf8"), "program\n");
  assert.ok(lstatSync(join(unpacked, "pipe")).isFIFO());
  assert.equal(readFileSync(join(unpacked, "large")).length, 3_000_000);
  const shown = execFileSync(join(root, "dist/bin/hull"), ["build", "-q", "-o", "-", context], {
    env: { ...process.env, DOCKER_HOST: `unix://${engine.socket}`, DOCKER_CONFIG: engine.path("config") },
    maxBuffer: 64 * 1024 * 1024,
  });
  assert.deepEqual(shown, readFileSync(path));
});

test("a destination that cannot be written fails the build and leaves nothing", async () => {
  const path = engine.path("no/such/directory/result.tar");
  const { code, stderr } = await build("-o", `type=tar,dest=${path}`);
  assert.equal(code, 1);
  assert.match(stderr, /no such file or directory/i);
  assert.equal(existsSync(engine.path("no")), false);
});
