/** Figures of a cgroup, as src/runc reads them, in the Engine API's shape. */
import { totalmem } from "node:os";
import type { BlkioEntry, CgroupStats } from "../../runc/cgroup/stats.ts";

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

export function dockerFigures({ cpu, memory, pids, blkio }: CgroupFigures) {
  return {
    cpu: {
      cpu_usage: {
        total_usage: cpu.total,
        ...(cpu.perCpu.length > 0 && { percpu_usage: cpu.perCpu }),
        usage_in_kernelmode: cpu.kernel,
        usage_in_usermode: cpu.user,
      },
      throttling_data: {
        periods: cpu.periods,
        throttled_periods: cpu.throttledPeriods,
        throttled_time: cpu.throttledTime,
      },
    },
    memory: memoryFigures(memory),
    pids: { current: pids.current, ...(pids.limit > 0 && { limit: pids.limit }) },
    blkio: {
      ...nullBlkio,
      io_service_bytes_recursive: rows(blkio.serviceBytes),
      io_serviced_recursive: rows(blkio.serviced),
    },
  };
}

/** Limits near 2^63 are the kernel's way to say none: the machine's memory is shown, as Docker does. */
const NO_LIMIT = 2 ** 60;

function memoryFigures(memory: CgroupFigures["memory"]): object {
  return {
    usage: memory.usage,
    ...(memory.maxUsage > 0 && { max_usage: memory.maxUsage }),
    stats: memory.stats,
    ...(memory.failcnt > 0 && { failcnt: memory.failcnt }),
    limit: memory.limit === 0 || memory.limit > NO_LIMIT ? totalmem() : memory.limit,
  };
}

const rows = (entries: readonly BlkioEntry[]) =>
  entries.length > 0 ? entries.map(({ major, minor, op, value }) => ({ major, minor, op, value })) : null;
