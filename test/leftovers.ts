/**
 * What of the kernel's objects could be ours: taken before and after the tests, so that "nothing is left" is proved, not
 * hoped. Only things with names or owners of ours are compared; the rest of the machine may change as it likes.
 */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

export interface Inventory {
  readonly processes: ReadonlyMap<string, string>;
  readonly mounts: readonly string[];
  readonly cgroups: readonly string[];
  readonly links: readonly string[];
  readonly rules: readonly string[];
  readonly namespaces: readonly string[];
}

const ourProcess = /^(hull|hulld|hull-containerd|hull-netd|hull-buildkitd|hull-runc|keel.*|pause)$/;
const SETTLE_MS = 15_000;
const POLL_MS = 100;

export function takeInventory(): Inventory {
  return {
    processes: processes(),
    mounts: mounts(),
    cgroups: cgroups(),
    links: lines("ip", ["-o", "link"]).map((line) => /^\d+: ([^:@]+)/.exec(line)?.[1] ?? line),
    rules: [...lines("iptables-save", []), ...lines("ip6tables-save", [])]
      .filter((line) => line.startsWith("-A") || line.startsWith(":"))
      .map(withoutCounters),
    namespaces: namespaces(),
  };
}

/** What is there now and was not before; waits a while for clean-up that happens after the answer. */
export async function whatIsLeft(before: Inventory): Promise<string[]> {
  const deadline = Date.now() + SETTLE_MS;
  for (;;) {
    const left = difference(before, takeInventory());
    if (left.length === 0 || Date.now() > deadline) return left;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

function difference(before: Inventory, now: Inventory): string[] {
  const added = (kind: string, was: readonly string[], is: readonly string[]) =>
    is.filter((entry) => !was.includes(entry)).map((entry) => `${kind} ${entry}`);
  return [
    ...[...now.processes].filter(([pid]) => !before.processes.has(pid)).map(([pid, name]) => `process ${pid} ${name}`),
    ...added("mount", before.mounts, now.mounts),
    ...added("cgroup", before.cgroups, now.cgroups),
    ...added("interface", before.links, now.links),
    ...added("firewall rule", before.rules, now.rules),
    ...added("namespace", before.namespaces, now.namespaces),
  ];
}

function processes(): Map<string, string> {
  const found = new Map<string, string>();
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    const comm = orEmpty(() => readFileSync(`/proc/${pid}/comm`, "utf8").trim());
    if (ourProcess.test(comm) && Number(pid) !== process.pid) found.set(pid, comm);
  }
  return found;
}

/** Overlays, namespace binds and anything below a directory of ours. */
function mounts(): string[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter((line) => / - (overlay|nsfs) /.test(line) || /\/(hull|glasshull)/.test(line.split(" ")[4] ?? ""))
    .map((line) => line.split(" ")[4] ?? "");
}

function cgroups(): string[] {
  const roots = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter((line) => / - cgroup2? /.test(line))
    .map((line) => line.split(" ")[4]!);
  return roots.flatMap((root) => directoriesBelow(root, 3));
}

function directoriesBelow(path: string, depth: number): string[] {
  if (depth === 0) return [];
  const entries = orEmptyList(() => readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory()));
  return entries.flatMap((entry) => [`${path}/${entry.name}`, ...directoriesBelow(`${path}/${entry.name}`, depth - 1)]);
}

/** Network namespaces of processes: one per distinct inode that is not our own. */
function namespaces(): string[] {
  const inodes = new Set<string>();
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    const link = orEmpty(() => readlinkSync(`/proc/${pid}/ns/net`));
    if (link !== "") inodes.add(link);
  }
  return [...inodes].sort();
}

const withoutCounters = (line: string): string => line.replace(/ \[\d+:\d+\]$/, "");

function lines(command: string, args: readonly string[]): string[] {
  return orEmpty(() => execFileSync(command, args, { stdio: ["ignore", "pipe", "ignore"] }).toString())
    .split("\n")
    .filter((line) => line !== "");
}

/** A process may end while we look at it; a command may be missing: then there is nothing to compare. */
function orEmpty(read: () => string): string {
  try {
    return read();
  } catch {
    return "";
  }
}

function orEmptyList<T>(read: () => T[]): T[] {
  try {
    return read();
  } catch {
    return [];
  }
}
