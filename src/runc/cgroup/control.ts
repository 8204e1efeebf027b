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

/** Removes the directories; absent ones are fine, one in use is an error (EBUSY). Children made inside the container are not removed here. */
export const removeCgroups = (place: CgroupPlace): Operation[] =>
  directoriesOf(place).map((path) =>
    operation("rmdir", { path }, { cause: "remove the cgroup", tolerate: ["ENOENT"] }),
  );

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
export async function signalAll(place: CgroupPlace, signal: number): Promise<void> {
  for (const pid of await pidsOf(place)) {
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
  for (let waitMs = 1; (await pidsOf(place)).length > 0; waitMs = Math.min(waitMs * 2, 50)) {
    if (Date.now() > deadline)
      throw new HullError("deadline-exceeded", `processes in ${membersDirectory(place)} do not end`);
    await signalAll(place, SIGKILL);
    await new Promise((resolve) => setTimeout(resolve, waitMs));
  }
}
