/** Everything that builds keep: results of steps, and cache mounts. */
import type { CacheRecord, PruneAnswer } from "../api.ts";
import type { CacheMounts } from "../run/cache-mounts.ts";
import { cacheMountRecords, pruneCacheMounts } from "../run/cache-usage.ts";
import type { BuildCache } from "../solver/cache.ts";
import { type DiskSpace, type PrunePolicy, prune, usage } from "../solver/prune.ts";

export interface WholeCache {
  usage(): Promise<readonly CacheRecord[]>;
  /** `onRemoved` is told of each record that goes. */
  prune(policy: PrunePolicy, onRemoved?: (record: CacheRecord) => void): Promise<PruneAnswer>;
}

export interface WholeCacheParts {
  readonly cache: BuildCache;
  readonly mounts: CacheMounts;
  readonly disk: () => DiskSpace;
}

export const wholeCache = ({ cache, mounts, disk }: WholeCacheParts): WholeCache => ({
  usage: async () => [...usage(cache), ...(await cacheMountRecords(mounts))],
  prune: async (policy, onRemoved) => {
    const work = { policy, disk: disk(), nowMs: Date.now(), ...(onRemoved && { onRemoved }) };
    const steps = await prune(cache, work);
    const otherBytes = cache.list().reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const caches = await pruneCacheMounts(mounts, { ...work, otherBytes });
    const deleted = [...(steps.CachesDeleted ?? []), ...(caches.CachesDeleted ?? [])];
    return {
      CachesDeleted: deleted.length === 0 ? null : deleted,
      SpaceReclaimed: steps.SpaceReclaimed + caches.SpaceReclaimed,
    };
  },
});
