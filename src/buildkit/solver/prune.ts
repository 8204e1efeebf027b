/**
 * What takes space in the build cache and what of it goes: records without others on top of them, longest unused first.
 * Policies as BuildKit's daemon has them: each is a filter, an age and sizes.
 */
import type { CacheRecord, PruneAnswer } from "../api.ts";
import type { BuildCache } from "./cache.ts";
import type { CacheRow } from "./cache-table.ts";
import { parseRecordFilters } from "./record-filter.ts";

export interface PrunePolicy {
  /** Also what images share. */
  readonly all: boolean;
  /** As parseRecordFilters takes them. */
  readonly filters: readonly string[];
  /** Only what is unused for so long. */
  readonly keepDurationMs: number;
  /** Ends when all records together are no larger. */
  readonly reservedBytes: number;
  /** 0: no limit. */
  readonly maxUsedBytes: number;
  /** Wanted on the disk; 0: none. */
  readonly minFreeBytes: number;
}

export interface DiskSpace {
  readonly totalBytes: number;
  readonly freeBytes: number;
}

export const PRUNE_NOTHING_ELSE: PrunePolicy = {
  all: false,
  filters: [],
  keepDurationMs: 0,
  reservedBytes: 0,
  maxUsedBytes: 0,
  minFreeBytes: 0,
};

const DAY_MS = 24 * 3600 * 1000;
const GB = 1e9;

/** What is done without being asked: old things, then what is over the cap, images' layers last. */
export function defaultPolicies({ totalBytes }: DiskSpace): readonly PrunePolicy[] {
  const sizes = {
    reservedBytes: Math.min(0.1 * totalBytes, 10 * GB),
    maxUsedBytes: Math.min(0.8 * totalBytes, 100 * GB),
    minFreeBytes: 0.2 * totalBytes,
  };
  return [
    { ...PRUNE_NOTHING_ELSE, keepDurationMs: 60 * DAY_MS, ...sizes },
    { ...PRUNE_NOTHING_ELSE, ...sizes },
    { ...PRUNE_NOTHING_ELSE, all: true, ...sizes },
  ];
}

/** 25 characters, as BuildKit's are. */
const idOf = ({ key }: CacheRow): string => key.replace(/^sha256:/, "").slice(0, 25);

export function usage(cache: BuildCache): readonly CacheRecord[] {
  const rows = cache.list();
  const byChain = new Map(rows.map((row) => [row.chainId, idOf(row)]));
  return rows.map((row) => view(cache, row, byChain));
}

function view(cache: BuildCache, row: CacheRow, byChain: ReadonlyMap<string, string>): CacheRecord {
  const parent = row.parentChainId === row.chainId ? undefined : byChain.get(row.parentChainId);
  return {
    ID: idOf(row),
    Parents: parent === undefined ? [] : [parent],
    Type: "regular",
    Description: row.description,
    InUse: cache.isPinned(row.key),
    Shared: cache.isShared(row.chainId),
    Size: row.sizeBytes,
    CreatedAt: new Date(row.createdAtMs).toISOString(),
    LastUsedAt: row.lastUsedAtMs === 0 ? null : new Date(row.lastUsedAtMs).toISOString(),
    UsageCount: row.usageCount,
  };
}

export interface PruneWork {
  readonly policy: PrunePolicy;
  readonly disk: DiskSpace;
  readonly nowMs: number;
  readonly onRemoved?: (record: CacheRecord) => void;
}

export async function prune(cache: BuildCache, { policy, disk, nowMs, onRemoved }: PruneWork): Promise<PruneAnswer> {
  const rows = cache.list();
  const byChain = new Map(rows.map((row) => [row.chainId, idOf(row)]));
  const wanted = parseRecordFilters(policy.filters);
  const mayGo = (row: CacheRow): boolean =>
    !cache.isPinned(row.key) &&
    (policy.all || !cache.isShared(row.chainId)) &&
    nowMs - lastUse(row) >= policy.keepDurationMs &&
    wanted(view(cache, row, byChain));
  const gone = choose(rows, mayGo, excessOf(policy, { disk, rows }));
  for (const row of gone) onRemoved?.(view(cache, row, byChain));
  await cache.remove(gone);
  return {
    CachesDeleted: gone.length === 0 ? null : gone.map(idOf),
    SpaceReclaimed: gone.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
  };
}

const lastUse = (row: CacheRow): number => Math.max(row.createdAtMs, row.lastUsedAtMs);

/** Bytes to be freed; Infinity when no size is given. */
export function excessOf(
  policy: PrunePolicy,
  { disk, rows }: { readonly disk: DiskSpace; readonly rows: readonly Pick<CacheRow, "sizeBytes">[] },
): number {
  const { reservedBytes, maxUsedBytes, minFreeBytes } = policy;
  if (reservedBytes === 0 && maxUsedBytes === 0 && minFreeBytes === 0) return Number.POSITIVE_INFINITY;
  const total = rows.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const limits = [
    ...(maxUsedBytes > 0 ? [maxUsedBytes] : []),
    ...(minFreeBytes > disk.freeBytes ? [total - (minFreeBytes - disk.freeBytes)] : []),
  ];
  const isOnlyReserved = maxUsedBytes === 0 && minFreeBytes === 0;
  if (limits.length === 0 && !isOnlyReserved) return 0;
  return Math.max(0, total - Math.max(reservedBytes, Math.min(...limits, isOnlyReserved ? reservedBytes : total)));
}

/** From the top of the stacks down, so that no record loses what it stands on. */
function choose(
  rows: readonly CacheRow[],
  mayGo: (row: CacheRow) => boolean,
  excessBytes: number,
): readonly CacheRow[] {
  const onTop = new Map<string, number>();
  for (const row of rows) if (standsOnOther(row)) count(onTop, row.parentChainId, 1);
  const candidates = rows.filter(mayGo).sort((a, b) => lastUse(a) - lastUse(b) || a.usageCount - b.usageCount);
  const firstOf = new Map<string, number>();
  for (const [i, { chainId }] of candidates.entries()) if (!firstOf.has(chainId)) firstOf.set(chainId, i);
  const gone = new Set<CacheRow>();
  let left = excessBytes;
  for (let i = 0; i < candidates.length && left > 0; i++) {
    const row = candidates[i]!;
    if (gone.has(row) || (onTop.get(row.chainId) ?? 0) > 0) continue;
    gone.add(row);
    left -= row.sizeBytes;
    if (!standsOnOther(row)) continue;
    count(onTop, row.parentChainId, -1);
    // What it stood on may be older than it: that is next.
    if (onTop.get(row.parentChainId) === 0) i = Math.min(i, (firstOf.get(row.parentChainId) ?? i + 1) - 1);
  }
  return [...gone];
}

const standsOnOther = ({ chainId, parentChainId }: CacheRow): boolean => chainId !== parentChainId;
const count = (counts: Map<string, number>, key: string, by: number): void => {
  counts.set(key, (counts.get(key) ?? 0) + by);
};
