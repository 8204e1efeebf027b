/** Figures of a cgroup, as src/runc reads them, in the Engine API's shape. */
import { totalmem } from "node:os";
import type { BlockIoEntry, CgroupStats } from "../../runc/cgroup/stats.ts";

export type CgroupFigures = CgroupStats;

export const nullBlkio = {
  io_service_bytes_recursive: null,
  io_serviced_recursive: null,
  io_queue_recursive: null,
  io_service_time_recursive: null,
  io_wait_time_recursive: null,
  io_merged_recursive: null,
  io_time_recursive: null,
  sectors_recursive: null,
};

export function dockerFigures({ cpu, memory, pids, blockIo }: CgroupFigures) {
  return {
    cpu: {
      cpu_usage: {
        total_usage: cpu.usageNs,
        ...(cpu.perCpuNs.length > 0 && { percpu_usage: cpu.perCpuNs }),
        usage_in_kernelmode: cpu.systemNs,
        usage_in_usermode: cpu.userNs,
      },
      throttling_data: {
        periods: cpu.periods,
        throttled_periods: cpu.throttledPeriods,
        throttled_time: cpu.throttledNs,
      },
    },
    memory: memoryFigures(memory),
    pids: { current: pids.current, ...(pids.limit !== undefined && { limit: pids.limit }) },
    blkio: {
      ...nullBlkio,
      io_service_bytes_recursive: rows(blockIo.serviceBytes),
      io_serviced_recursive: rows(blockIo.serviced),
    },
  };
}

/** No limit (the kernel's number beyond any machine included) shows the machine's memory, as Docker does. */
function memoryFigures(memory: CgroupFigures["memory"]): object {
  return {
    usage: memory.usageBytes,
    ...(memory.maxUsageBytes > 0 && { max_usage: memory.maxUsageBytes }),
    stats: memory.details,
    ...(memory.failures > 0 && { failcnt: memory.failures }),
    limit: Math.min(memory.limitBytes ?? Number.POSITIVE_INFINITY, totalmem()),
  };
}

const rows = (entries: readonly BlockIoEntry[]) =>
  entries.length > 0 ? entries.map(({ major, minor, op, value }) => ({ major, minor, op, value })) : null;
