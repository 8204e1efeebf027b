import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { PRUNE_NOTHING_ELSE, type PrunePolicy } from "../solver/prune.ts";
import { type CacheMount, CacheMounts } from "./cache-mounts.ts";
import { cacheMountRecords, pruneCacheMounts } from "./cache-usage.ts";
import { TestBuilder } from "./harness.ts";

let builder: TestBuilder;
before(async () => {
  builder = await TestBuilder.open();
});
after(() => builder[Symbol.asyncDispose]());

const never = new AbortController().signal;
const disk = { totalBytes: 1e12, freeBytes: 5e11 };
let stores = 0;

/** Caches of these ids, 64 KiB each, used one after the other; the last lease of each is returned by id. */
async function cachesOf(...ids: readonly string[]): Promise<CacheMounts> {
  const caches = new CacheMounts(join(builder.directory, `store${stores++}`), builder.keel);
  for (const id of ids) {
    const lease = await caches.acquire({ mount: mountOf(id), directories: [], description: id, signal: never });
    writeFileSync(join(lease.path, "f"), Buffer.alloc(65536, 1));
    lease.release();
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return caches;
}

const mountOf = (id: string): CacheMount => ({
  ...{ kind: "cache", id, from: undefined, source: "", target: `/${id}`, sharing: "shared", readOnly: false },
  ...{ mode: 0o755, uid: 0, gid: 0 },
});

const left = (caches: CacheMounts): string[] => caches.records().map(({ description }) => description);

test("du shows a cache mount as BuildKit does", async () => {
  const [record, ...more] = await cacheMountRecords(await cachesOf("a"));
  assert.equal(more.length, 0);
  assert.match(record!.ID, /^.{25}$/);
  assert.deepEqual(
    [record!.Type, record!.Description, record!.InUse, record!.UsageCount],
    ["exec.cachemount", "a", false, 1],
  );
  assert.ok(record!.Size >= 65536);
});

const policies: readonly (readonly [
  title: string,
  policy: Partial<PrunePolicy>,
  otherBytes: number,
  left: string[],
])[] = [
  ["prune without conditions removes every cache", {}, 0, []],
  ["prune by type leaves other types", { filters: ["type==regular"] }, 0, ["a", "b", "c"]],
  ["prune by type removes cache mounts", { filters: ["type==exec.cachemount"] }, 0, []],
  ["prune keeps what was used lately", { keepDurationMs: 60_000 }, 0, ["a", "b", "c"]],
  ["prune to a size removes what was unused longest", { maxUsedBytes: 150_000 }, 0, ["b", "c"]],
  ["other records count in the size", { maxUsedBytes: 150_000 }, 70_000, ["c"]],
];

for (const [title, policy, otherBytes, expected] of policies)
  test(title, async () => {
    const caches = await cachesOf("a", "b", "c");
    const work = { policy: { ...PRUNE_NOTHING_ELSE, ...policy }, disk, nowMs: Date.now(), otherBytes };
    const told: string[] = [];
    const answer = await pruneCacheMounts(caches, { ...work, onRemoved: ({ Description }) => told.push(Description) });
    assert.deepEqual(left(caches), expected);
    assert.deepEqual(
      told.sort(),
      ["a", "b", "c"].filter((id) => !expected.includes(id)),
    );
    assert.equal(answer.CachesDeleted?.length ?? 0, told.length);
    assert.ok(answer.SpaceReclaimed >= told.length * 65536);
  });

test("prune leaves what is in use", async () => {
  const caches = await cachesOf("a", "b");
  const lease = await caches.acquire({ mount: mountOf("a"), directories: [], description: "a", signal: never });
  await pruneCacheMounts(caches, { policy: PRUNE_NOTHING_ELSE, disk, nowMs: Date.now(), otherBytes: 0 });
  assert.deepEqual(left(caches), ["a"]);
  lease.release();
});
