import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Turns } from "./turns.ts";

const noWait = () => ({ [Symbol.dispose]: () => {} });

test("as many work at once as there are turns, the others in the order they came, and a failure gives its turn on", async () => {
  const turns = new Turns(2, 60_000);
  const begun: number[] = [];
  const gates = Array.from({ length: 4 }, () => Promise.withResolvers<void>());
  const runs = gates.map((gate, i) =>
    turns.run(async () => {
      begun.push(i);
      await gate.promise;
    }, noWait),
  );
  await delay(1);
  assert.deepEqual(begun, [0, 1]);
  gates[1]!.reject(new Error("failed"));
  await assert.rejects(runs[1]!, /failed/);
  await delay(1);
  assert.deepEqual(begun, [0, 1, 2]);
  gates[0]!.resolve();
  await runs[0];
  await delay(1);
  assert.deepEqual(begun, [0, 1, 2, 3]);
  for (const gate of gates) gate.resolve();
  await Promise.all([runs[2], runs[3]]);
  let waited = false;
  await turns.run(
    async () => undefined,
    () => {
      waited = true;
      return noWait();
    },
  );
  assert.equal(waited, false);
});

test("work that takes long goes on without its turn", async () => {
  const turns = new Turns(1, 20);
  const hangs = Promise.withResolvers<void>();
  const first = turns.run(() => hangs.promise, noWait);
  const told: string[] = [];
  const waits = () => {
    told.push("waits");
    return { [Symbol.dispose]: () => told.push("goes") };
  };
  await turns.run(async () => told.push("works"), waits);
  assert.deepEqual(told, ["waits", "goes", "works"]);
  hangs.resolve();
  await first;
  // Its end did not give a second turn.
  const [one, two] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const running = turns.run(() => one.promise, noWait);
  let isSecond = false;
  const next = turns.run(async () => {
    isSecond = true;
    await two.promise;
  }, noWait);
  await delay(1);
  assert.equal(isSecond, false);
  one.resolve();
  two.resolve();
  await Promise.all([running, next]);
});
