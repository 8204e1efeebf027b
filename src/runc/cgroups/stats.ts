/** What a container uses, read from its cgroups: one shape for v1 and v2, as the Engine API and containerd's metrics need it. */
import { readFile } from "node:fs/promises";
import { type CgroupLayout, directoryOf } from "./layout.ts";

export interface BlkioEntry {
  readonly major: number;
  readonly minor: number;
  readonly op: string;
  readonly value: number;
}

export interface CgroupStats {
  readonly version: 1 | 2;
  readonly cpu: {
    /** Nanoseconds. */
    readonly total: number;
    readonly user: number;
    readonly kernel: number;
    readonly perCpu: readonly number[];
    readonly periods: number;
    readonly throttledPeriods: number;
    readonly throttledTime: number;
  };
  readonly memory: {
    readonly usage: number;
    readonly maxUsage: number;
    readonly limit: number;
    readonly failcnt: number;
    readonly stats: Readonly<Record<string, number>>;
  };
  readonly pids: { readonly current: number /** 0: unlimited. */; readonly limit: number };
  readonly blkio: { readonly serviceBytes: readonly BlkioEntry[]; readonly serviced: readonly BlkioEntry[] };
}

/** "" where there is no such file: a controller may be missing, the container may end while it is being read. */
async function read(directory: string | undefined, file: string): Promise<string> {
  if (directory === undefined) return "";
  return readFile(`${directory}/${file}`, "utf8").catch(() => "");
}

const number = (text: string): number => {
  const value = Number(text.trim());
  return Number.isFinite(value) ? value : 0;
};

/** "key value" lines. */
const table = (text: string): Record<string, number> =>
  Object.fromEntries(
    text.split("\n").flatMap((line) => {
      const [key, value] = line.split(" ");
      return key && value !== undefined ? [[key, Number(value)]] : [];
    }),
  );

export function readStats(layout: CgroupLayout): Promise<CgroupStats> {
  return layout.mode === "v2" ? readV2(layout) : readV1(layout);
}

async function readV1(layout: CgroupLayout): Promise<CgroupStats> {
  const at = (controller: string) => directoryOf(layout, controller);
  const [cpuacct, cpu, memory, pids, blkio] = [at("cpuacct"), at("cpu"), at("memory"), at("pids"), at("blkio")];
  const [
    total,
    user,
    kernel,
    perCpu,
    throttling,
    usage,
    peak,
    limit,
    failcnt,
    memoryStat,
    current,
    most,
    bytes,
    serviced,
  ] = await Promise.all([
    read(cpuacct, "cpuacct.usage"),
    read(cpuacct, "cpuacct.usage_user"),
    read(cpuacct, "cpuacct.usage_sys"),
    read(cpuacct, "cpuacct.usage_percpu"),
    read(cpu, "cpu.stat"),
    read(memory, "memory.usage_in_bytes"),
    read(memory, "memory.max_usage_in_bytes"),
    read(memory, "memory.limit_in_bytes"),
    read(memory, "memory.failcnt"),
    read(memory, "memory.stat"),
    read(pids, "pids.current"),
    read(pids, "pids.max"),
    read(blkio, "blkio.throttle.io_service_bytes_recursive"),
    read(blkio, "blkio.throttle.io_serviced_recursive"),
  ]);
  const throttled = table(throttling);
  return {
    version: 1,
    cpu: {
      total: number(total),
      user: number(user),
      kernel: number(kernel),
      perCpu: perCpu.trim().split(/\s+/).filter(Boolean).map(Number),
      periods: throttled.nr_periods ?? 0,
      throttledPeriods: throttled.nr_throttled ?? 0,
      throttledTime: throttled.throttled_time ?? 0,
    },
    memory: {
      usage: number(usage),
      maxUsage: number(peak),
      limit: number(limit),
      failcnt: number(failcnt),
      stats: table(memoryStat),
    },
    pids: { current: number(current), limit: most.trim() === "max" ? 0 : number(most) },
    blkio: { serviceBytes: blkioEntries(bytes), serviced: blkioEntries(serviced) },
  };
}

/** "8:0 Read 4096" lines; the totals at the end are left out. */
const blkioEntries = (text: string): BlkioEntry[] =>
  text.split("\n").flatMap((line) => {
    const match = /^(\d+):(\d+) (\w+) (\d+)$/.exec(line);
    return match ? [{ major: Number(match[1]), minor: Number(match[2]), op: match[3]!, value: Number(match[4]) }] : [];
  });

async function readV2(layout: CgroupLayout): Promise<CgroupStats> {
  const directory = `${layout.unified!.directory}${layout.unified!.path}`;
  const [cpuStat, usage, peak, limit, memoryStat, events, current, most, io] = await Promise.all(
    [
      "cpu.stat",
      "memory.current",
      "memory.peak",
      "memory.max",
      "memory.stat",
      "memory.events",
      "pids.current",
      "pids.max",
      "io.stat",
    ].map((file) => read(directory, file)),
  );
  const cpu = table(cpuStat!);
  return {
    version: 2,
    cpu: {
      total: (cpu.usage_usec ?? 0) * 1000,
      user: (cpu.user_usec ?? 0) * 1000,
      kernel: (cpu.system_usec ?? 0) * 1000,
      perCpu: [],
      periods: cpu.nr_periods ?? 0,
      throttledPeriods: cpu.nr_throttled ?? 0,
      throttledTime: (cpu.throttled_usec ?? 0) * 1000,
    },
    memory: {
      usage: number(usage!),
      maxUsage: number(peak!),
      limit: limit!.trim() === "max" ? 0 : number(limit!),
      failcnt: table(events!).max ?? 0,
      stats: table(memoryStat!),
    },
    pids: { current: number(current!), limit: most!.trim() === "max" ? 0 : number(most!) },
    blkio: ioEntries(io!),
  };
}

/** "8:0 rbytes=1 wbytes=2 rios=3 wios=4 ..." lines. */
function ioEntries(text: string): CgroupStats["blkio"] {
  const serviceBytes: BlkioEntry[] = [];
  const serviced: BlkioEntry[] = [];
  for (const line of text.split("\n")) {
    const match = /^(\d+):(\d+) (.*)$/.exec(line);
    if (!match) continue;
    const place = { major: Number(match[1]), minor: Number(match[2]) };
    const values = Object.fromEntries(match[3]!.split(" ").map((pair) => pair.split("=") as [string, string]));
    serviceBytes.push(
      { ...place, op: "read", value: Number(values.rbytes ?? 0) },
      { ...place, op: "write", value: Number(values.wbytes ?? 0) },
    );
    serviced.push(
      { ...place, op: "read", value: Number(values.rios ?? 0) },
      { ...place, op: "write", value: Number(values.wios ?? 0) },
    );
  }
  return { serviceBytes, serviced };
}
