import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { containerOperations, shell, TestRoot } from "./container-harness.ts";
import { StandAlone } from "./stand-alone.ts";

const begin = (root: TestRoot, script: string): Promise<StandAlone> =>
  StandAlone.begin({
    operations: containerOperations(root, { argv: shell(script) }),
    mode: { kind: "tied" },
    stdio: ["ignore", "ignore", "ignore"],
  });

const SIGKILL_CODE = 137;

test("a tied process ends with its own exit code when nobody lets go of it", async () => {
  using root = new TestRoot();
  using process = await begin(root, "exit 7");
  await process.start();
  assert.equal(await process.exit, 7);
});

test("a tied process is killed with everything in its pid namespace when who asked for it lets go", async () => {
  using root = new TestRoot();
  const process = await begin(root, "(trap '' TERM; sleep 600) & sleep 600");
  await process.start();
  process[Symbol.dispose]();
  assert.equal(await process.exit, SIGKILL_CODE);
});

test("a tied process that was not started ends when who asked for it lets go", async () => {
  using root = new TestRoot();
  const process = await begin(root, "exit 0");
  process[Symbol.dispose]();
  assert.equal(await process.exit, 1);
});

test("processes that have ended leave no descriptors here", async () => {
  using root = new TestRoot();
  const descriptors = (): number => readdirSync("/proc/self/fd").length;
  const once = async (starts: boolean): Promise<void> => {
    using process = await begin(root, "exit 0");
    if (starts) await process.start();
    process[Symbol.dispose]();
    await process.exit;
  };
  await once(true);
  const before = descriptors();
  for (let i = 0; i < 8; i++) await once(i % 2 === 0);
  assert.equal(descriptors(), before);
});
