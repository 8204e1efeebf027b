/** What this machine and this process can give a container: read once, since neither changes while hulld runs. */
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { allCapabilities } from "../../../oci/capabilities.ts";
import { type CgroupFacts, readCgroup } from "../../system/host-facts.ts";

export interface Machine {
  readonly cpus: number;
  readonly cgroup: CgroupFacts;
  /** Capabilities that the engine itself lacks: no container can have them. */
  readonly lacking: readonly string[];
  /** The engine's own hard limits by Docker's name ("nofile"); without CAP_SYS_RESOURCE none can be raised. Infinity: unlimited. */
  readonly hardLimits: Readonly<Record<string, number>>;
}

/** proc(5), /proc/PID/limits: the rows by their names there. */
const limitRows: Readonly<Record<string, string>> = {
  "Max core file size": "core",
  "Max cpu time": "cpu",
  "Max data size": "data",
  "Max file size": "fsize",
  "Max file locks": "locks",
  "Max locked memory": "memlock",
  "Max msgqueue size": "msgqueue",
  "Max nice priority": "nice",
  "Max open files": "nofile",
  "Max processes": "nproc",
  "Max resident set": "rss",
  "Max realtime priority": "rtprio",
  "Max realtime timeout": "rttime",
  "Max pending signals": "sigpending",
  "Max stack size": "stack",
};

let known: Machine | undefined;

export function readMachine(): Machine {
  known ??= {
    cpus: availableParallelism(),
    cgroup: readCgroup(),
    lacking: parseLacking(
      readFileSync("/proc/self/status", "utf8"),
      Number(readFileSync("/proc/sys/kernel/cap_last_cap", "utf8")),
    ),
    hardLimits: parseHardLimits(readFileSync("/proc/self/limits", "utf8")),
  };
  return known;
}

/** Names that the kernel knows (up to number `last`) and whose bit is not set in the line CapEff. */
export function parseLacking(status: string, last: number): string[] {
  const mask = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "ffffffffffffffff"}`);
  return allCapabilities.filter((_, bit) => bit <= last && (mask & (1n << BigInt(bit))) === 0n);
}

export function parseHardLimits(limits: string): Record<string, number> {
  const rows = limits.split("\n").flatMap((line) => {
    const [, row = "", hard = ""] = /^(Max [a-z ]*[a-z])\s{2,}\S+\s+(\S+)/.exec(line) ?? [];
    const name = limitRows[row];
    return name === undefined ? [] : [[name, hard === "unlimited" ? Number.POSITIVE_INFINITY : Number(hard)] as const];
  });
  return Object.fromEntries(rows);
}
