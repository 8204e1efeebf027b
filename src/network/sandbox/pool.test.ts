import assert from "node:assert/strict";
import { test } from "node:test";
import { openLog } from "../../platform/log.ts";
import type { Kernel } from "../kernel.ts";
import { NamespacePool } from "./pool.ts";

/** A kernel whose plans end when the test says so. */
function slowKernel() {
  const waiting: (() => void)[] = [];
  const run = () =>
    new Promise<{ outputs: Map<number, Buffer> }>((resolve) => {
      waiting.push(() => resolve({ outputs: new Map() }));
    });
  return { kernel: { run } as unknown as Kernel, finish: () => waiting.shift()?.() };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

test("a namespace in the making is one of the pool's already: what looks for strays must not take it away", async () => {
  const { kernel, finish } = slowKernel();
  const log = openLog({ name: "test", level: "fatal" });
  const pool = new NamespacePool({ kernel, directory: "/nowhere", size: 1, group: 2, log });
  const filled = pool.fill();
  const [making] = pool.entries;
  assert.equal(pool.ready, 0);
  assert.match(making!.hostInterface, /^veth[0-9a-f]{7}$/);
  finish();
  await filled;
  assert.equal(pool.ready, 1);
  await turn();
  assert.deepEqual(pool.entries, [making]);
});
