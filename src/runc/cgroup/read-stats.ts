/** Reads a container's figures from its cgroups. Files that a kernel lacks count as 0. */
import { readdir, readFile } from "node:fs/promises";
import { HullError } from "../../platform/errors.ts";
import { type CgroupPlace, isV2Only, unifiedDirectory } from "./place.ts";
import { type BlkioEntry, type CgroupStats, parseAmount as number, parsePairs } from "./stats.ts";

type Files = (controller: string, file: string) => Promise<string>;

const NS_PER_US = 1000;

export async function readStats(place: CgroupPlace): Promise<CgroupStats> {
  const directory = isV2Only(place) ? unifiedDirectory(place) : Object.values(place.paths)[0];
  if (directory === undefined)
    throw new HullError("failed-precondition", "this host has no cgroups to read figures from");
  const read: Files = async (controller, file) => {
    const path = isV2Only(place) ? directory : place.paths[controller];
    return path === undefined ? "" : await readFile(`${path}/${file}`, "utf8").catch(() => "");
  };
  return isV2Only(place) ? await readV2(read, directory) : await readV1(read, place);
}

async function readV1(read: Files, place: CgroupPlace): Promise<CgroupStats> {
  const memory = async (file: string) => number(await read("memory", file));
  const [cpu, throttling, details, pids, blockIo, hugetlb] = await Promise.all([
    cpuacct(read),
    read("cpu", "cpu.stat").then(parsePairs),
    read("memory", "memory.stat").then(parsePairs),
    Promise.all([read("pids", "pids.current"), read("pids", "pids.max")]),
    blockIoV1(read),
    hugepages(place.paths.hugetlb, read),
  ]);
  const [usage, max, limit, failures, swap, swapLimit, oom] = await Promise.all([
    memory("memory.usage_in_bytes"),
    memory("memory.max_usage_in_bytes"),
    memory("memory.limit_in_bytes"),
    memory("memory.failcnt"),
    memory("memory.memsw.usage_in_bytes"),
    read("memory", "memory.memsw.limit_in_bytes"),
    read("memory", "memory.oom_control").then(parsePairs),
  ]);
  return {
    version: 1,
    cpu: {
      ...cpu,
      periods: throttling.nr_periods ?? 0,
      throttledPeriods: throttling.nr_throttled ?? 0,
      throttledTime: throttling.throttled_time ?? 0,
    },
    memory: {
      usage,
      maxUsage: max,
      limit,
      failcnt: failures,
      stats: details,
      swapUsage: swap,
      swapLimit: number(swapLimit!),
      oomKills: oom.oom_kill ?? 0,
    },
    pids: { current: number(pids[0]), limit: number(pids[1]) },
    blkio: blockIo,
    hugetlb,
  };
}

async function cpuacct(read: Files) {
  const [usage, user, system, each] = await Promise.all(
    ["cpuacct.usage", "cpuacct.usage_user", "cpuacct.usage_sys", "cpuacct.usage_percpu"].map((file) =>
      read("cpuacct", file),
    ),
  );
  const perCpu = (each ?? "").trim().split(" ").filter(Boolean).map(Number);
  return { total: number(usage!), user: number(user!), kernel: number(system!), perCpu };
}

/** Lines "8:0 Read 4096" and a last one "Total 4096". */
function parseBlockIo(text: string): BlkioEntry[] {
  return text.split("\n").flatMap((line) => {
    const match = /^(\d+):(\d+) (\w+) (\d+)$/.exec(line);
    if (!match) return [];
    const [, major, minor, op, value] = match;
    return [{ major: Number(major), minor: Number(minor), op: op!.toLowerCase(), value: Number(value) }];
  });
}

/** The throttling layer counts without any policy set; an elevator that counts too is the better source. */
async function blockIoV1(read: Files) {
  const first = async (...files: readonly string[]): Promise<BlkioEntry[]> => {
    for (const file of files) {
      const entries = parseBlockIo(await read("blkio", file));
      if (entries.length > 0) return entries;
    }
    return [];
  };
  const [serviceBytes, serviced] = await Promise.all([
    first(
      "blkio.io_service_bytes_recursive",
      "blkio.throttle.io_service_bytes_recursive",
      "blkio.throttle.io_service_bytes",
    ),
    first("blkio.io_serviced_recursive", "blkio.throttle.io_serviced_recursive", "blkio.throttle.io_serviced"),
  ]);
  return { serviceBytes, serviced };
}

async function readV2(read: Files, directory: string): Promise<CgroupStats> {
  const file = (name: string): Promise<string> => read("", name);
  const [cpu, details, events, io, hugetlb] = await Promise.all([
    file("cpu.stat").then(parsePairs),
    file("memory.stat").then(parsePairs),
    file("memory.events").then(parsePairs),
    file("io.stat"),
    hugepages(directory, read),
  ]);
  const names = [
    "memory.current",
    "memory.peak",
    "memory.max",
    "memory.swap.current",
    "memory.swap.max",
    "pids.current",
    "pids.max",
  ];
  const [usage, peak, limit, swap, swapLimit, current, most] = await Promise.all(names.map(file));
  return {
    version: 2,
    cpu: {
      total: (cpu.usage_usec ?? 0) * NS_PER_US,
      user: (cpu.user_usec ?? 0) * NS_PER_US,
      kernel: (cpu.system_usec ?? 0) * NS_PER_US,
      perCpu: [],
      periods: cpu.nr_periods ?? 0,
      throttledPeriods: cpu.nr_throttled ?? 0,
      throttledTime: (cpu.throttled_usec ?? 0) * NS_PER_US,
    },
    memory: {
      usage: number(usage!),
      maxUsage: number(peak!),
      limit: number(limit!),
      failcnt: events.max ?? 0,
      stats: details,
      swapUsage: number(swap!),
      swapLimit: number(swapLimit!),
      oomKills: events.oom_kill ?? 0,
    },
    pids: { current: number(current!), limit: number(most!) },
    blkio: {
      serviceBytes: ioEntries(io, { rbytes: "read", wbytes: "write" }),
      serviced: ioEntries(io, { rios: "read", wios: "write" }),
    },
    hugetlb,
  };
}

/** Lines "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0". */
function ioEntries(text: string, wanted: Readonly<Record<string, string>>): BlkioEntry[] {
  return text.split("\n").flatMap((line) => {
    const [device = "", ...pairs] = line.split(" ");
    const [major, minor] = device.split(":").map(Number);
    if (major === undefined || minor === undefined) return [];
    return pairs.flatMap((pair) => {
      const [name = "", value] = pair.split("=");
      return wanted[name] ? [{ major, minor, op: wanted[name], value: Number(value) }] : [];
    });
  });
}

async function hugepages(directory: string | undefined, read: Files) {
  const names = directory === undefined ? [] : await readdir(directory).catch(() => []);
  const sizes = new Set(
    names.flatMap((name) => /^hugetlb\.([^.]+)\.(?:usage_in_bytes|current)$/.exec(name)?.[1] ?? []),
  );
  const entries = [...sizes].map(async (size) => {
    const file = async (...candidates: readonly string[]): Promise<number> => {
      for (const name of candidates) {
        const text = await read("hugetlb", `hugetlb.${size}.${name}`);
        if (text !== "") return number(text);
      }
      return 0;
    };
    const [usage, maxUsage, failcnt] = await Promise.all([
      file("usage_in_bytes", "current"),
      file("max_usage_in_bytes"),
      file("failcnt"),
    ]);
    return [size, { usage, maxUsage, failcnt }] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}
