/** Checks of limits, with dockerd's sentences (moby daemon/daemon_unix.go is the behaviour followed). Pure. */
import type { Resources, Ulimit } from "../config.ts";
import type { Machine } from "./machine.ts";
import { invalid } from "./refusal.ts";

const MIN_MEMORY_BYTES = 6 * 1024 * 1024;

/** Before anything else, also where limits are discarded. */
export function verifyLeastMemory({ Memory: memory }: Resources): void {
  if (memory !== 0 && memory < MIN_MEMORY_BYTES) throw invalid("Minimum memory limit allowed is 6MB");
}

export function verifyResources(resources: Resources, machine: Machine): void {
  verifyMemory(resources);
  verifyCpu(resources, machine);
  verifyBlkio(resources);
  for (const ulimit of resources.Ulimits ?? []) verifyUlimit(ulimit);
}

function verifyMemory(r: Resources): void {
  const { Memory: memory, MemorySwap: swap, MemoryReservation: reservation, MemorySwappiness: swappiness } = r;
  if (memory > 0 && swap > 0 && swap < memory)
    throw invalid("Minimum memoryswap limit should be larger than memory limit, see usage");
  if (memory === 0 && swap > 0)
    throw invalid("You should always set the Memory limit when using Memoryswap limit, see usage");
  if (swappiness !== null && swappiness !== -1 && (swappiness < 0 || swappiness > 100))
    throw invalid(`Invalid value: ${swappiness}, valid memory swappiness range is 0-100`);
  if (reservation !== 0 && reservation < MIN_MEMORY_BYTES) throw invalid("Minimum memory reservation allowed is 6MB");
  if (memory > 0 && reservation > 0 && memory < reservation)
    throw invalid("Minimum memory limit can not be less than memory reservation limit, see usage");
}

function verifyCpu(r: Resources, machine: Machine): void {
  if (r.NanoCpus > 0 && r.CpuPeriod > 0)
    throw invalid("Conflicting options: Nano CPUs and CPU Period cannot both be set");
  if (r.NanoCpus > 0 && r.CpuQuota > 0)
    throw invalid("Conflicting options: Nano CPUs and CPU Quota cannot both be set");
  if (r.NanoCpus > 0 && !machine.cgroup.cpuQuota)
    throw invalid(
      "NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted",
    );
  if (r.NanoCpus < 0 || r.NanoCpus > machine.cpus * 1e9)
    throw invalid(`range of CPUs is from 0.01 to ${machine.cpus}.00, as there are only ${machine.cpus} CPUs available`);
  if (r.CpuShares < 0) throw invalid(`invalid CPU shares (${r.CpuShares}): value must be a positive integer`);
  if (r.CpuPeriod !== 0 && (r.CpuPeriod < 1000 || r.CpuPeriod > 1_000_000))
    throw invalid("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)");
  if (r.CpuQuota > 0 && r.CpuQuota < 1000) throw invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)");
  verifyCpuset({ what: "cpuset cpus", count: machine.cpus }, r.CpusetCpus);
  verifyCpuset({ what: "cpuset mems", count: Number.POSITIVE_INFINITY }, r.CpusetMems);
}

/** "0-2,5". */
function verifyCpuset({ what, count }: { readonly what: string; readonly count: number }, spec: string): void {
  if (spec === "") return;
  for (const part of spec.split(",")) {
    const range = /^(\d{1,9})(?:-(\d{1,9}))?$/.exec(part);
    const last = Number(range?.[2] ?? range?.[1]);
    if (!range || last < Number(range[1])) throw invalid(`Invalid value ${spec} for ${what}`);
    if (last >= count)
      throw invalid(`Requested CPUs are not available - requested ${spec}, available: ${available(count)}`);
  }
}

const available = (count: number): string => (count === 1 ? "0" : `0-${count - 1}`);

function verifyBlkio(r: Resources): void {
  const weights = [r.BlkioWeight, ...r.BlkioWeightDevice.map((device) => device.Weight)];
  if (weights.some((weight) => weight !== 0 && (weight < 10 || weight > 1000)))
    throw invalid("Range of blkio weight is from 10 to 1000");
}

function verifyUlimit(ulimit: Ulimit): void {
  if (!ulimitNames.has(ulimit.Name)) throw invalid(`invalid ulimit type: ${ulimit.Name}`);
  const { Hard: hard, Soft: soft } = ulimit;
  if (hard !== -1 && (soft === -1 || soft > hard))
    throw invalid(`ulimit soft limit must be less than or equal to hard limit: ${soft} > ${hard}`);
}

export const ulimitNames: ReadonlySet<string> = new Set([
  "core",
  "cpu",
  "data",
  "fsize",
  "locks",
  "memlock",
  "msgqueue",
  "nice",
  "nofile",
  "nproc",
  "rss",
  "rtprio",
  "rttime",
  "sigpending",
  "stack",
]);
