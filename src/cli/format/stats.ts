/** One line of `stats`, computed from an API sample as docker computes it. */
import type { Listing } from "./listing.ts";
import { bytesSize, humanSize } from "./units.ts";

interface CpuStats {
  readonly cpu_usage?: { readonly total_usage?: number; readonly percpu_usage?: readonly number[] | null };
  readonly system_cpu_usage?: number;
  readonly online_cpus?: number;
}

export interface Sample {
  readonly id?: string;
  readonly name?: string;
  readonly cpu_stats?: CpuStats;
  readonly precpu_stats?: CpuStats;
  readonly memory_stats?: {
    readonly usage?: number;
    readonly limit?: number;
    readonly stats?: Readonly<Record<string, number>>;
  };
  readonly networks?: Readonly<Record<string, { readonly rx_bytes: number; readonly tx_bytes: number }>>;
  readonly blkio_stats?: {
    readonly io_service_bytes_recursive?: readonly { readonly op: string; readonly value: number }[] | null;
  };
  readonly pids_stats?: { readonly current?: number };
}

export interface StatsLine {
  readonly container: string;
  readonly id: string;
  readonly name: string;
  readonly cpuPercent: number;
  readonly memoryBytes: number;
  readonly memoryLimit: number;
  readonly received: number;
  readonly sent: number;
  readonly read: number;
  readonly written: number;
  readonly pids: number;
}

export function toLine(container: string, sample: Sample): StatsLine {
  const networks = Object.values(sample.networks ?? {});
  const io = sample.blkio_stats?.io_service_bytes_recursive ?? [];
  const sum = (op: string) =>
    io.filter((entry) => entry.op.toLowerCase() === op).reduce((total, entry) => total + entry.value, 0);
  return {
    container,
    id: sample.id ?? "",
    name: (sample.name ?? "").replace(/^\//, ""),
    cpuPercent: cpuPercent(sample),
    memoryBytes: memoryUsed(sample),
    memoryLimit: sample.memory_stats?.limit ?? 0,
    received: networks.reduce((total, network) => total + network.rx_bytes, 0),
    sent: networks.reduce((total, network) => total + network.tx_bytes, 0),
    read: sum("read"),
    written: sum("write"),
    pids: sample.pids_stats?.current ?? 0,
  };
}

function cpuPercent({ cpu_stats: now, precpu_stats: before }: Sample): number {
  const used = (now?.cpu_usage?.total_usage ?? 0) - (before?.cpu_usage?.total_usage ?? 0);
  const system = (now?.system_cpu_usage ?? 0) - (before?.system_cpu_usage ?? 0);
  const cpus = now?.online_cpus || now?.cpu_usage?.percpu_usage?.length || 1;
  return used > 0 && system > 0 ? (used / system) * cpus * 100 : 0;
}

/** Without the page cache: total_inactive_file on cgroup v1, inactive_file on v2. */
function memoryUsed({ memory_stats: memory }: Sample): number {
  const usage = memory?.usage ?? 0;
  const cache = memory?.stats?.total_inactive_file ?? memory?.stats?.inactive_file ?? 0;
  return cache < usage ? usage - cache : usage;
}

const percent = (value: number): string => `${value.toFixed(2)}%`;

export const statsListing = (truncate: boolean): Listing<StatsLine> => ({
  table: "table {{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}",
  fields: {
    Container: { header: "CONTAINER", value: (line) => line.container },
    ID: { header: "CONTAINER ID", value: (line) => (truncate ? line.id.slice(0, 12) : line.id) },
    Name: { header: "NAME", value: (line) => line.name },
    CPUPerc: { header: "CPU %", value: (line) => percent(line.cpuPercent) },
    MemUsage: {
      header: "MEM USAGE / LIMIT",
      value: (line) => `${bytesSize(line.memoryBytes)} / ${bytesSize(line.memoryLimit)}`,
    },
    MemPerc: {
      header: "MEM %",
      value: (line) => percent(line.memoryLimit > 0 ? (line.memoryBytes / line.memoryLimit) * 100 : 0),
    },
    NetIO: { header: "NET I/O", value: (line) => `${humanSize(line.received, 3)} / ${humanSize(line.sent, 3)}` },
    BlockIO: { header: "BLOCK I/O", value: (line) => `${humanSize(line.read, 3)} / ${humanSize(line.written, 3)}` },
    PIDs: { header: "PIDS", value: (line) => String(line.pids) },
  },
});
