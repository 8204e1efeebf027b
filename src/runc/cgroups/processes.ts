/** The processes of a container by its cgroups, and their end. */
import { readdir, readFile, writeFile } from "node:fs/promises";
import { type CgroupLayout, directoryOf } from "./layout.ts";

const KILL_DEADLINE_MS = 5000;
const KILL_POLL_MS = 5;

/** A directory that lists all of them: pids, freezer or memory on v1, the unified one on v2. */
function listing(layout: CgroupLayout): string | undefined {
  const controller = ["pids", "freezer", "memory", "devices"].find((name) => directoryOf(layout, name) !== undefined);
  if (layout.mode !== "v2" && controller !== undefined) return directoryOf(layout, controller);
  return layout.unified ? `${layout.unified.directory}${layout.unified.path}` : undefined;
}

/** Pids in the container's cgroup and below, as the host sees them. Empty when it is gone. */
export async function listPids(layout: CgroupLayout): Promise<number[]> {
  const directory = listing(layout);
  return directory === undefined ? [] : pidsBelow(directory);
}

async function pidsBelow(directory: string): Promise<number[]> {
  const own = await readFile(`${directory}/cgroup.procs`, "utf8").catch(() => "");
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
  const children = await Promise.all(
    entries.filter((entry) => entry.isDirectory()).map((entry) => pidsBelow(`${directory}/${entry.name}`)),
  );
  return [...own.split("\n").filter(Boolean).map(Number), ...children.flat()];
}

/** SIGKILL to every process in it, again until none is left (or five seconds have passed). */
export async function killAll(layout: CgroupLayout): Promise<void> {
  const { unified, mode } = layout;
  if (mode === "v2" && unified)
    await writeFile(`${unified.directory}${unified.path}/cgroup.kill`, "1").catch(() => undefined);
  const deadline = performance.now() + KILL_DEADLINE_MS;
  for (
    let pids = await listPids(layout);
    pids.length > 0 && performance.now() < deadline;
    pids = await listPids(layout)
  ) {
    for (const pid of pids) signalIfThere(pid);
    await new Promise((resolve) => setTimeout(resolve, KILL_POLL_MS));
  }
}

function signalIfThere(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

export async function isFrozen(layout: CgroupLayout): Promise<boolean> {
  const freezer = directoryOf(layout, "freezer");
  if (freezer !== undefined)
    return (await readFile(`${freezer}/freezer.state`, "utf8").catch(() => "")).trim() !== "THAWED";
  const { unified } = layout;
  if (!unified) return false;
  return /^frozen 1$/m.test(
    await readFile(`${unified.directory}${unified.path}/cgroup.events`, "utf8").catch(() => ""),
  );
}
