/** What can be seen of builds: checks, reasons, history. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
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

function context(name: string, files: Readonly<Record<string, string>>): string {
  const directory = engine.path(name);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), text);
  }
  return directory;
}

const hull = (...args: string[]): Promise<Ran> =>
  run([join(root, "dist/bin/hull"), ...args], {
    DOCKER_HOST: `unix://${engine.socket}`,
    DOCKER_CONFIG: engine.path("config"),
    DOCKER_BUILDKIT: "1",
  });
const build = (...args: string[]): Promise<Ran> => hull("build", ...args);

test("a check prints its warnings, of ignored sources too, and builds nothing", async () => {
  const directory = context("checked", {
    Dockerfile: "FROM busybox AS Base\nCOPY secret.txt /\nRUN exit 1\n",
    "secret.txt": "x",
    ".dockerignore": "*.txt\n",
  });
  const checked = await build("--check", directory);
  assert.equal(checked.code, 1);
  assert.match(checked.stdout, /^Check complete, 2 warnings have been found!\n\nWARNING: StageNameCasing - https/);
  assert.ok(checked.stdout.includes(`${join(directory, "Dockerfile")}:2\n--------------------\n   1 |     FROM`));
  assert.match(checked.stdout, /Attempting to Copy file "secret.txt" that is excluded by .dockerignore\n/);
  const json = await build("--call=check,format=json,ignorestatus=true", directory);
  assert.equal(json.code, 0, json.stderr);
  assert.equal((JSON.parse(json.stdout) as { warnings: object[] }).warnings.length, 2);
  const clean = context("clean", { Dockerfile: "FROM busybox\n" });
  assert.equal((await build("--check", clean)).stdout, "Check complete, no warnings found.\n");
});

test("a check of what cannot be built fails with the place", async () => {
  const wrong = await build("--check", context("wrong", { Dockerfile: "FROM busybox\nRUNN x\n" }));
  assert.equal(wrong.code, 1);
  assert.match(
    wrong.stderr,
    /ERROR: dockerfile parse error on line 2: unknown instruction: RUNN .*\n.*Dockerfile:2\n-+\n/,
  );
});

test("outline and targets are printed", async () => {
  const directory = context("outlined", {
    Dockerfile: "ARG V=latest\n# app runs it\nFROM busybox:$V AS app\nRUN --mount=type=secret,id=t true\n",
  });
  const outline = await build("--call=outline", directory);
  assert.match(
    outline.stdout,
    /^TARGET: +app\nDESCRIPTION: runs it\n\nBUILD ARG +VALUE +DESCRIPTION\nV +latest +\n\nSECRET/,
  );
  assert.equal((await build("--call=targets", directory)).stdout, "TARGET        DESCRIPTION\napp (default) runs it\n");
});

test("a missing source is said to be ignored, or what was meant is named", async () => {
  const files = { "notes.txt": "x", "src/main.c": "y", ".dockerignore": "*.txt\n" };
  const ignored = await build(context("left-out", { ...files, Dockerfile: "FROM busybox\nCOPY notes.txt src /\n" }));
  assert.match(
    ignored.stderr,
    /"\/notes.txt": not found \(the pattern "\*\.txt" of \.dockerignore leaves it out\)/,
    ignored.stderr,
  );
  assert.match(ignored.stderr, /\n - CopyIgnoredFile: Attempting to Copy file "notes.txt" .*\(line 2\)\n/);
});

test("plain progress reads as BuildKit's", async () => {
  const directory = context("read", { Dockerfile: "FROM busybox\nCOPY a /a\n", a: "12345", ".dockerignore": "b\n" });
  const { stderr } = await build("--no-cache", "--progress", "plain", directory);
  for (const line of [
    /^#1 \[internal\] load build definition from Dockerfile\n#1 transferring dockerfile: 23B( \d\.\ds)? done\n#1 DONE/m,
    /^#\d+ \[internal\] load metadata for docker\.io\/library\/busybox:latest\n#\d+ DONE/m,
    /^#\d+ \[internal\] load \.dockerignore\n#\d+ transferring context: 2B( \d\.\ds)? done\n/m,
    /^#\d+ \[internal\] load build context\n#\d+ transferring context: \d+B( \d\.\ds)? done\n/m,
  ])
    assert.match(stderr, line);
});
