import assert from "node:assert/strict";
import { test } from "node:test";
import { FairLock, type Sharing } from "./fair-lock.ts";

const never = new AbortController().signal;

/** Who is let in, in order; each holds it until released by name. */
function crowd() {
  const lock = new FairLock();
  const inside = new Map<string, () => void>();
  const enter = (name: string, sharing: Sharing, signal = never): Promise<void> =>
    lock.acquire(sharing, signal).then((release) => void inside.set(name, release));
  const leave = async (name: string): Promise<void> => {
    inside.get(name)!();
    inside.delete(name);
    await Promise.resolve();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { lock, inside: () => [...inside.keys()], enter, leave };
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("sharers are inside together, one that wants it alone waits for all of them", async () => {
  const { enter, inside, leave } = crowd();
  for (const [name, sharing] of [
    ["a", "shared"],
    ["b", "shared"],
    ["x", "exclusive"],
  ] as const)
    void enter(name, sharing);
  await settle();
  assert.deepEqual(inside(), ["a", "b"]);
  await leave("a");
  assert.deepEqual(inside(), ["b"]);
  await leave("b");
  assert.deepEqual(inside(), ["x"]);
});

test("sharers that come later do not pass one that waits alone", async () => {
  const { enter, inside, leave } = crowd();
  for (const [name, sharing] of [
    ["a", "shared"],
    ["x", "exclusive"],
    ["b", "shared"],
  ] as const)
    void enter(name, sharing);
  await settle();
  assert.deepEqual(inside(), ["a"]);
  await leave("a");
  assert.deepEqual(inside(), ["x"]);
  await leave("x");
  assert.deepEqual(inside(), ["b"]);
});

test("one that gives up leaves the queue, and who waited behind it moves up", async () => {
  const { enter, inside, lock } = crowd();
  const abort = new AbortController();
  void enter("a", "shared");
  const gone = enter("x", "exclusive", abort.signal);
  void enter("b", "shared");
  abort.abort(new Error("no more"));
  await assert.rejects(gone, /no more/);
  await settle();
  assert.deepEqual([inside(), lock.isHeld], [["a", "b"], true]);
});

test("giving it back twice is once", async () => {
  const lock = new FairLock();
  const release = await lock.acquire("exclusive", never);
  release();
  const other = await lock.acquire("exclusive", never);
  release();
  assert.equal(lock.isHeld, true);
  other();
  assert.equal(lock.isHeld, false);
});
