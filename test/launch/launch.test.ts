/** The launcher as installed: bin/<name>, and scripts that tell what they were given in libexec/glasshull/<name>. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { root } from "../tidy/source-tree.ts";

const script = `#!/bin/sh\necho "$0|$*|$(env | grep ^BUN_ | sort | tr '\\n' ' ')|$OWN"\n`;
let installed: string;
before(() => {
  installed = mkdtempSync(join(tmpdir(), "hull-launch-"));
  mkdirSync(join(installed, "bin"));
  mkdirSync(join(installed, "libexec/glasshull"), { recursive: true });
  for (const name of ["hull", "hulld", "hull-netd", "hull-runc"]) {
    copyFileSync(join(root, "dist/bin/hull"), join(installed, "bin", name));
    if (name !== "hull-runc") writeFileSync(join(installed, "libexec/glasshull", name), script, { mode: 0o755 });
  }
});
after(() => rmSync(installed, { recursive: true }));

const run = (path: string, args: string[] = [], environment: Record<string, string> = {}) =>
  spawnSync(path, args, { encoding: "utf8", env: { PATH: process.env.PATH, OWN: "kept", ...environment } });
const told = (...given: Parameters<typeof run>) =>
  run(...given)
    .stdout.trim()
    .split("|");

/** As the launcher names it. */
const target = (name: string) => `${installed}/bin/../libexec/glasshull/${name}`;
const daemon = "BUN_JSC_heapGrowthMaxIncrease=0.3 BUN_JSC_largeHeapSize=2097152 ";

test("a command runs without the compiler, a daemon with a small heap, and both keep arguments and environment", () => {
  const at = (name: string) => join(installed, "bin", name);
  assert.deepEqual(told(at("hull"), ["run", "a b"]), [target("hull"), "run a b", "BUN_JSC_useJIT=0 ", "kept"]);
  assert.deepEqual(told(at("hulld"), ["-D"]), [target("hulld"), "-D", daemon, "kept"]);
  assert.deepEqual(told(at("hull-netd")), [target("hull-netd"), "", daemon, "kept"]);
});

test("a daemon that a command starts gets a daemon's settings, and the other way round", () => {
  assert.equal(told(join(installed, "bin/hulld"), [], { BUN_JSC_useJIT: "0" })[2], daemon);
  assert.equal(
    told(join(installed, "bin/hull"), [], { BUN_JSC_largeHeapSize: "1", BUN_JSC_heapGrowthMaxIncrease: "1" })[2],
    "BUN_JSC_useJIT=0 ",
  );
});

test("a link from elsewhere leads to the same installation", () => {
  symlinkSync(join(installed, "bin/hull"), join(installed, "docker"));
  assert.equal(told(join(installed, "docker"), ["ps"])[0], target("hull"));
});

test("a symbolic link of another name of ours is that program", () => {
  symlinkSync(join(installed, "bin/hull"), join(installed, "hull-netd"));
  assert.deepEqual(told(join(installed, "hull-netd")).slice(0, 3), [target("hull-netd"), "", daemon]);
});

test("an installation without the executable says what is missing", () => {
  const { status, stderr } = run(join(installed, "bin/hull-runc"));
  assert.equal(status, 127);
  assert.match(stderr, /cannot execute .*libexec\/glasshull\/hull-runc; is the installation complete\?/);
});

test("a large environment is passed on whole", () => {
  const many = Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`V${i}`, "x"]));
  assert.deepEqual(told(join(installed, "bin/hulld"), ["x"], many).slice(1), ["x", daemon, "kept"]);
});
