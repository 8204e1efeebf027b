/** Cache mounts in `du` and `prune`, beside the records of the build cache. */
import type { CacheRecord, PruneAnswer } from "../api.ts";
import { excessOf, type PruneWork } from "../solver/prune.ts";
import { parseRecordFilters } from "../solver/record-filter.ts";
import type { CacheMounts, CacheUsage } from "./cache-mounts.ts";

const TYPE = "exec.cachemount";

/** Sizes are measured now. */
export const cacheMountRecords = async (caches: CacheMounts): Promise<readonly CacheRecord[]> =>
  (await caches.list()).map(recordOf);

/** Longest unused first. `otherBytes`: of the other records, which sizes in the policy count too. */
export async function pruneCacheMounts(
  caches: CacheMounts,
  { policy, disk, nowMs, onRemoved, otherBytes }: PruneWork & { readonly otherBytes: number },
): Promise<PruneAnswer> {
  const all = await caches.list();
  const wanted = parseRecordFilters(policy.filters);
  const candidates = all
    .filter((usage) => !usage.inUse && nowMs - usage.lastUsedAtMs >= policy.keepDurationMs && wanted(recordOf(usage)))
    .sort((a, b) => a.lastUsedAtMs - b.lastUsedAtMs);
  const names = new Set<string>();
  let left = excessOf(policy, { disk, rows: [...all, { sizeBytes: otherBytes }] });
  for (const { name, sizeBytes } of candidates) {
    if (left <= 0) break;
    names.add(name);
    left -= sizeBytes;
  }
  const removed = names.size === 0 ? [] : await caches.prune(({ name }) => names.has(name));
  for (const usage of removed) onRemoved?.(recordOf(usage));
  return {
    CachesDeleted: removed.length === 0 ? null : removed.map(({ name }) => name),
    SpaceReclaimed: removed.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
  };
}

/** Names have the 25 characters of BuildKit's ids. */
const recordOf = (usage: CacheUsage): CacheRecord => ({
  ID: usage.name,
  Parents: [],
  Type: TYPE,
  Description: usage.description,
  InUse: usage.inUse,
  Shared: false,
  Size: usage.sizeBytes,
  CreatedAt: new Date(usage.createdAtMs).toISOString(),
  LastUsedAt: new Date(usage.lastUsedAtMs).toISOString(),
  UsageCount: usage.usageCount,
});
