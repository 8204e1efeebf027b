/** What is done with cgroups that exist: freezing, removal, membership, killing. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Operation, operation } from "../../keel/plan.ts";
import { codeOf, during, HullError } from "../../platform/errors.ts";
import { writeCgroup } from "./make.ts";
import { type CgroupPlace, directoriesOf, isV2Only, unifiedDirectory } from "./place.ts";

function freezer(place: CgroupPlace): { readonly directory: string; readonly version: 1 | 2 } {
  if (place.paths.freezer !== undefined) return { directory: place.paths.freezer, version: 1 };
  const directory = unifiedDirectory(place);
  if (directory === undefined) throw new HullError("failed-precondition", "this host has no freezer cgroup controller");
  return { directory, version: 2 };
}

export function freezeOperations(place: CgroupPlace): Operation[] {
  const { directory, version } = freezer(place);
  if (version === 2) return [writeCgroup(`${directory}/cgroup.freeze`, "1", "pause")];
  // A second write catches what was forked while the first went over the tasks.
  const freeze = writeCgroup(`${directory}/freezer.state`, "FROZEN", "pause");
  return [freeze, freeze];
}

export function thawOperations(place: CgroupPlace): Operation[] {
  const { directory, version } = freezer(place);
  if (version === 2) return [writeCgroup(`${directory}/cgroup.freeze`, "0", "resume")];
  return [writeCgroup(`${directory}/freezer.state`, "THAWED", "resume")];
}

/** True once every process stands still. */
export async function isFrozen(place: CgroupPlace): Promise<boolean> {
  const { directory, version } = freezer(place);
  if (version === 1) return (await readIfThere(`${directory}/freezer.state`))?.trim() === "FROZEN";
  return /^frozen 1$/m.test((await readIfThere(`${directory}/cgroup.events`)) ?? "");
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    // ENODEV: the cgroup was removed between open and read.
    if (codeOf(error) === "not-found" || (error as NodeJS.ErrnoException).code === "ENODEV") return undefined;
    throw during(`read ${path}`, error);
  }
}

const removal = (path: string): Operation =>
  operation("rmdir", { path }, { cause: "remove the cgroup", tolerate: ["ENOENT"] });

/** Removes the directories; absent ones are fine, one in use is an error (EBUSY). What was made below them is in `removeCgroupTrees`. */
export const removeCgroups = (place: CgroupPlace): Operation[] => directoriesOf(place).map(removal);

/** The same with everything that was made below them, from inside of the container or by hand. */
export async function removeCgroupTrees(place: CgroupPlace): Promise<Operation[]> {
  const trees = await Promise.all(directoriesOf(place).map(treeOf));
  return trees.flat().map(removal);
}

/** Deepest first. */
async function treeOf(path: string): Promise<string[]> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  const below = await Promise.all(
    entries.filter((entry) => entry.isDirectory()).map((entry) => treeOf(join(path, entry.name))),
  );
  return [...below.flat(), path];
}

/** Where the list of processes is complete and cheap to read. */
function membersDirectory(place: CgroupPlace): string | undefined {
  if (isV2Only(place)) return unifiedDirectory(place);
  return place.paths.pids ?? place.paths.memory ?? place.paths.freezer ?? directoriesOf(place)[0];
}

/** Every process in it and in cgroups below it, as pids of the caller's namespace. */
export async function pidsOf(place: CgroupPlace): Promise<number[]> {
  const directory = membersDirectory(place);
  return directory === undefined ? [] : [...new Set(await pidsBelow(directory))];
}

async function pidsBelow(directory: string): Promise<number[]> {
  const own = await readIfThere(join(directory, "cgroup.procs"));
  if (own === undefined) return [];
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
  const below = await Promise.all(
    entries.filter((entry) => entry.isDirectory()).map((entry) => pidsBelow(join(directory, entry.name))),
  );
  return [...own.split("\n").filter(Boolean).map(Number), ...below.flat()];
}

/** Sends a signal to every process; ones that are gone meanwhile are fine. */
export const signalAll = async (place: CgroupPlace, signal: number): Promise<void> =>
  signalEach(await pidsOf(place), signal);

function signalEach(pids: readonly number[], signal: number): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw during(`signal process ${pid}`, error);
    }
  }
}

const KILL_DEADLINE_MS = 5000;
const SIGKILL = 9;

/** Ends everything in it and waits until it is empty. Throws `deadline-exceeded`. */
export async function killAll(place: CgroupPlace): Promise<void> {
  const deadline = Date.now() + KILL_DEADLINE_MS;
  for (let waitMs = 1; ; waitMs = Math.min(waitMs * 2, 50)) {
    const pids = await everyPid(place);
    if (pids.length === 0) return;
    if (Date.now() > deadline)
      throw new HullError("deadline-exceeded", `processes in ${membersDirectory(place)} do not end`);
    signalEach(pids, SIGKILL);
    await new Promise((resolve) => setTimeout(resolve, waitMs));
  }
}

/** Also of processes on their way in or out, which are in some of its directories only. */
async function everyPid(place: CgroupPlace): Promise<number[]> {
  const pids = await Promise.all(directoriesOf(place).map(pidsBelow));
  return [...new Set(pids.flat())];
}
