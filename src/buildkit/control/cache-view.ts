/** The build cache in BuildKit's terms. */
import type { CacheRecord } from "../api.ts";
import type { WholeCache } from "../daemon/whole-cache.ts";
import type { PruneRequest } from "../gen/moby/buildkit/v1/control_pb.ts";
import type { PrunePolicy } from "../solver/prune.ts";
import { parseRecordFilters } from "../solver/record-filter.ts";
import type { BuildCacheView, UsageRecordMessage } from "./control-service.ts";
import { timestampOf } from "./status-message.ts";

export function cacheView(cache: WholeCache): BuildCacheView {
  return {
    usage: async (filters) => (await cache.usage()).filter(parseRecordFilters(filters)).map(message),
    prune: async (request) => {
      const removed: UsageRecordMessage[] = [];
      await cache.prune(policyOf(request), (record) => void removed.push(message(record)));
      return removed;
    },
  };
}

const policyOf = (request: PruneRequest): PrunePolicy => ({
  all: request.all,
  filters: request.filter,
  keepDurationMs: Number(request.keepDuration) / 1e6,
  reservedBytes: Number(request.reservedSpace),
  maxUsedBytes: Number(request.maxUsedSpace),
  minFreeBytes: Number(request.minFreeSpace),
});

const timeOf = (text: string) => timestampOf(BigInt(Date.parse(text)) * 1_000_000n);

const message = (record: CacheRecord): UsageRecordMessage => ({
  ID: record.ID,
  Mutable: false,
  InUse: record.InUse,
  Size: BigInt(record.Size),
  Parents: [...record.Parents],
  CreatedAt: timeOf(record.CreatedAt),
  ...(record.LastUsedAt !== null && { LastUsedAt: timeOf(record.LastUsedAt) }),
  UsageCount: BigInt(record.UsageCount),
  Description: record.Description,
  RecordType: record.Type,
  Shared: record.Shared,
});
