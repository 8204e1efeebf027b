import assert from "node:assert/strict";
import { test } from "node:test";
import { Admission } from "./admission.ts";
import { defaultSlots, FairQueue, PATIENCE, type QueueLimits, type SlotKind, slotKinds, type Ticket } from "./queue.ts";

const MiB = 1024 * 1024;

const limits = (slots: number, builds = 1000): QueueLimits => ({
  slots: { command: slots, transfer: slots, hash: slots },
  builds,
});

const ticket = (build: string, cost = 1, kind: SlotKind = "command"): Ticket => ({ build, kind, cost });

/** A small generator that repeats itself. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

test("a small build among fifty large ones gets the next slot", () => {
  const queue = new FairQueue(limits(4));
  const large = Array.from({ length: 50 }, (_, i) => ticket(`large${i}`, 50 * MiB, "transfer"));
  for (const one of large) queue.enqueue(one);
  const running = [1, 2, 3, 4].map(() => queue.next()!);
  const small = ticket("small", 10_000, "transfer");
  queue.enqueue(small);
  assert.equal(queue.next(), undefined, "no slot is free");
  queue.finish(running[0]!);
  assert.equal(queue.next(), small);
});

test("the first command of a new build goes before the further ones of builds that had some", () => {
  const queue = new FairQueue(limits(1));
  for (let i = 0; i < 50; i++) queue.enqueue(ticket("old"));
  const first = queue.next()!;
  const own = ticket("new");
  queue.enqueue(own);
  queue.finish(first);
  assert.equal(queue.next(), own);
});

test("builds take turns", () => {
  const queue = new FairQueue(limits(1));
  for (const build of ["a", "a", "a", "b", "b", "c"]) queue.enqueue(ticket(build));
  const order: string[] = [];
  for (let next = queue.next(); next; next = queue.next()) {
    order.push(next.build);
    queue.finish(next);
  }
  assert.deepEqual(order, ["a", "b", "c", "a", "b", "a"]);
});

test("no more builds have slots at once than are allowed, and those that have some go on", () => {
  const queue = new FairQueue(limits(8, 2));
  const all = ["a", "b", "c", "a"].map((build) => ticket(build));
  for (const one of all) queue.enqueue(one);
  const given = [queue.next(), queue.next(), queue.next()];
  assert.deepEqual(
    given.map((one) => one?.build),
    ["a", "b", "a"],
  );
  assert.equal(queue.next(), undefined);
  queue.finish(given[1]!);
  assert.equal(queue.next()?.build, "c");
});

test("property: never over a limit, nobody is passed for ever, everybody is served", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const below = random(seed);
    const bounds = { slots: defaultSlots(1 + below(3)), builds: 1 + below(6) };
    const queue = new FairQueue(bounds);
    const [waiting, running, grants] = [new Map<Ticket, number>(), new Set<Ticket>(), { ...zero }];
    for (let step = 0; step < 400 || waiting.size > 0; step++) {
      if (step < 400 && below(2) === 0) {
        const kind = slotKinds[below(3)]!;
        const one = ticket(`b${below(12)}-${below(2) === 0 ? step : 0}`, 1 + below(1000), kind);
        waiting.set(one, grants[kind] + [...waiting.keys()].filter((other) => other.kind === kind).length);
        queue.enqueue(one);
      }
      if (below(20) === 0 && waiting.size > 0) {
        const gone = [...waiting.keys()][below(waiting.size)]!;
        queue.withdraw(gone);
        waiting.delete(gone);
      }
      for (let next = queue.next(); next; next = queue.next()) {
        const since = waiting.get(next)!;
        assert.ok(waiting.delete(next), `seed ${seed}: given to one that waits`);
        running.add(next);
        grants[next.kind]++;
        assert.ok(grants[next.kind] <= since + 1 + slack, `seed ${seed}: passed too often`);
        for (const kind of slotKinds) assert.ok(queue.running(kind) <= bounds.slots[kind], `seed ${seed}: ${kind}`);
        assert.ok(new Set([...running].map(({ build }) => build)).size <= bounds.builds, `seed ${seed}: builds`);
      }
      const ended = [...running][below(Math.max(1, running.size))];
      if (ended) {
        running.delete(ended);
        queue.finish(ended);
      }
    }
    assert.equal(waiting.size, 0);
  }
});

const zero = { command: 0, transfer: 0, hash: 0 };
/** Those that came before it may be passed, too, and are then before it. */
const slack = PATIENCE;

test("what waits says how many are ahead, and who gives up leaves the queue", async () => {
  const admission = new Admission(limits(1));
  const told: string[] = [];
  const acquire = (build: string, signal = new AbortController().signal) =>
    admission.acquire({ ...ticket(build), signal, onWaiting: (ahead) => told.push(`${build} ${ahead}`) });
  const first = await acquire("a");
  const gone = new AbortController();
  const second = acquire("b", gone.signal);
  const third = acquire("c");
  assert.deepEqual(told, ["b 0", "c 1"]);
  gone.abort();
  await assert.rejects(second, { name: "AbortError" });
  assert.deepEqual(told, ["b 0", "c 1", "c 0"]);
  first[Symbol.dispose]();
  (await third)[Symbol.dispose]();
  (await acquire("d"))[Symbol.dispose]();
});
