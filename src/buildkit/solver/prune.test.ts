import assert from "node:assert/strict";
import { test } from "node:test";
import { excessOf, PRUNE_NOTHING_ELSE, type PrunePolicy, prune, usage } from "./prune.ts";
import { Bench, run, scratch } from "./solver-harness.ts";

const disk = { totalBytes: 100_000, freeBytes: 50_000 };
const HOUR_MS = 3600_000;

async function pruned(bench: Bench, policy: Partial<PrunePolicy>, nowMs = Date.now() + HOUR_MS) {
  return prune(bench.cache, { policy: { ...PRUNE_NOTHING_ELSE, ...policy }, disk, nowMs });
}

const kept = (bench: Bench) =>
  usage(bench.cache)
    .map(({ Description }) => Description.replace("mount / from exec /bin/sh -c ", ""))
    .sort();

async function withChain(): Promise<Bench> {
  const bench = new Bench();
  const first = run(scratch, "write a 1");
  await bench.build([run(run(first, "write b 1"), "write c 1"), run(first, "write d 1")]);
  return bench;
}

test("pruning everything leaves nothing, and lets the layers go", async () => {
  await using bench = await withChain();
  const { CachesDeleted, SpaceReclaimed } = await pruned(bench, {});
  assert.equal(CachesDeleted?.length, 4);
  assert.equal(SpaceReclaimed, 4000);
  assert.deepEqual([...bench.world.held], []);
  assert.deepEqual(await pruned(bench, {}), { CachesDeleted: null, SpaceReclaimed: 0 });
});

test("what others stand on goes after them", async () => {
  await using bench = await withChain();
  await pruned(bench, { reservedBytes: 2000 });
  assert.equal(usage(bench.cache).length, 2);
  assert.ok(kept(bench).includes("write a 1"));
  for (const { Parents } of usage(bench.cache))
    for (const parent of Parents) assert.ok(usage(bench.cache).some(({ ID }) => ID === parent));
});

test("what a build uses stays", async () => {
  await using bench = await withChain();
  using pins = bench.cache.pins();
  const row = bench.cache.list().find(({ description }) => description.endsWith("write d 1"))!;
  pins.add(row.key);
  await pruned(bench, {});
  assert.deepEqual(kept(bench), ["write a 1", "write d 1"]);
});

test("only what is unused for long enough goes", async () => {
  await using bench = await withChain();
  await pruned(bench, { keepDurationMs: 2 * HOUR_MS });
  assert.equal(kept(bench).length, 4);
});

test("filters choose", async () => {
  await using bench = await withChain();
  await pruned(bench, { filters: ["description~=write [cd],type==regular"] });
  assert.deepEqual(kept(bench), ["write a 1", "write b 1"]);
  await assert.rejects(pruned(bench, { filters: ["colour==red"] }), { code: "invalid-argument" });
});

test("records say what they stand on, how large they are and how often they were used", async () => {
  await using bench = await withChain();
  await bench.build([run(scratch, "write a 1")]);
  const records = usage(bench.cache);
  const first = records.find(({ Description }) => Description.endsWith("write a 1"))!;
  assert.deepEqual(first.Parents, []);
  assert.equal(records.filter(({ Parents }) => Parents[0] === first.ID).length, 2);
  assert.equal(first.Size, 1000);
  assert.equal(first.UsageCount, 2);
  assert.equal(first.InUse, false);
});

const rows = [{ sizeBytes: 40_000 }];
const cases: readonly (readonly [Partial<PrunePolicy>, number])[] = [
  [{}, Number.POSITIVE_INFINITY],
  [{ reservedBytes: 10_000 }, 30_000],
  [{ reservedBytes: 60_000 }, 0],
  [{ maxUsedBytes: 25_000 }, 15_000],
  [{ maxUsedBytes: 25_000, reservedBytes: 30_000 }, 10_000],
  [{ minFreeBytes: 60_000 }, 10_000],
  [{ minFreeBytes: 40_000 }, 0],
  [{ minFreeBytes: 95_000, reservedBytes: 5_000 }, 35_000],
];

for (const [policy, bytes] of cases)
  test(`of 40 kB, with 50 free, ${JSON.stringify(policy)} frees ${bytes}`, () => {
    assert.equal(excessOf({ ...PRUNE_NOTHING_ELSE, ...policy }, { disk, rows }), bytes);
  });
