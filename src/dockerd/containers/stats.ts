/** GET /containers/{id}/stats: one sample of cgroup and network figures in Docker's shape. */
import { readFile } from "node:fs/promises";
import { cpus } from "node:os";
import { timeNow } from "../time.ts";
import type { Container } from "./container.ts";
import type { ContainerDeps } from "./deps.ts";
import { isActive } from "./state.ts";
import { type CgroupFigures, dockerFigures, nullBlkio } from "./stats-figures.ts";

const NO_TIME = "0001-01-01T00:00:00Z";

export interface Sample {
  readonly read: string;
  readonly [field: string]: unknown;
}

const emptyCpu = {
  cpu_usage: { total_usage: 0, usage_in_kernelmode: 0, usage_in_usermode: 0 },
  throttling_data: { periods: 0, throttled_periods: 0, throttled_time: 0 },
};

/** What a stopped container shows. */
export const emptySample = (container: Container): Sample => ({
  id: container.id,
  name: `/${container.record.name}`,
  read: NO_TIME,
  preread: NO_TIME,
  pids_stats: {},
  blkio_stats: nullBlkio,
  num_procs: 0,
  storage_stats: {},
  cpu_stats: emptyCpu,
  precpu_stats: emptyCpu,
  memory_stats: {},
});

export interface SampleOptions {
  /** Fills the pre- fields. */
  readonly before: Sample | undefined;
  readonly signal: AbortSignal;
}

export async function sample(
  deps: ContainerDeps,
  container: Container,
  { before, signal }: SampleOptions,
): Promise<Sample> {
  const { state } = container;
  if (!isActive(state)) return emptySample(container);
  const [figures, systemCpu, networks] = await Promise.all([
    deps.tasks.stats(container.id, signal) as Promise<CgroupFigures>,
    systemCpuNs(),
    networksOf(container, state.pid),
  ]);
  const docker = dockerFigures(figures);
  return {
    id: container.id,
    name: `/${container.record.name}`,
    read: timeNow(),
    preread: before?.read ?? NO_TIME,
    pids_stats: docker.pids,
    blkio_stats: docker.blkio,
    num_procs: 0,
    storage_stats: {},
    cpu_stats: { ...docker.cpu, system_cpu_usage: systemCpu, online_cpus: cpus().length },
    precpu_stats: before?.cpu_stats ?? emptyCpu,
    memory_stats: docker.memory,
    ...(networks && { networks }),
  };
}

const TICK_NS = 10_000_000;

/** User, nice, system, idle, iowait, irq, softirq and steal of all CPUs. */
async function systemCpuNs(): Promise<number> {
  const [first = ""] = (await readFile("/proc/stat", "utf8")).split("\n", 1);
  const ticks = first.split(/\s+/).slice(1, 9).map(Number);
  return ticks.reduce((sum, value) => sum + value, 0) * TICK_NS;
}

const networkFields = [
  "rx_bytes",
  "rx_packets",
  "rx_errors",
  "rx_dropped",
  "tx_bytes",
  "tx_packets",
  "tx_errors",
  "tx_dropped",
] as const;

/** undefined where the container has no network of its own. */
async function networksOf(container: Container, pid: number): Promise<Record<string, object> | undefined> {
  const { NetworkMode } = container.record.hostConfig;
  if (NetworkMode === "host" || NetworkMode.startsWith("container:")) return undefined;
  let text: string;
  try {
    text = await readFile(`/proc/${pid}/net/dev`, "utf8");
  } catch {
    return undefined; // It has just ended.
  }
  return parseNetDev(text);
}

/** Pure. /proc/net/dev without loopback. */
export function parseNetDev(text: string): Record<string, object> {
  const rows = text
    .split("\n")
    .slice(2)
    .flatMap((line) => {
      const [name, values] = line.split(":");
      if (name === undefined || values === undefined || name.trim() === "lo") return [];
      const numbers = values.trim().split(/\s+/).map(Number);
      const picked = [...numbers.slice(0, 4), ...numbers.slice(8, 12)];
      return [[name.trim(), Object.fromEntries(networkFields.map((field, i) => [field, picked[i] ?? 0]))] as const];
    });
  return Object.fromEntries(rows);
}
