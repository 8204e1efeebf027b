/** Operations that make a container's cgroups. Pure but for what `facts` reads. */
import { dirname } from "node:path";
import { NO_SLOT } from "../../keel/operations.ts";
import { type Operation, operation } from "../../keel/plan.ts";
import type { HostFacts } from "../host-facts.ts";
import { type CgroupPlace, directoriesOf, unifiedDirectory, v1Directories } from "./place.ts";

const O_WRONLY = 1;
const O_DIRECTORY_PATH = 0o12200000; // O_PATH | O_DIRECTORY

export const writeCgroup = (path: string, data: string, cause: string): Operation =>
  operation("writeFile", { path, data, flags: O_WRONLY }, { cause, subject: path });

/** Directories, whatever they need before a process can enter them. */
export function makeCgroups(facts: HostFacts, place: CgroupPlace): Operation[] {
  const cause = "config.json /linux/cgroupsPath";
  const directories = directoriesOf(place).map((path) => operation("mkdirAll", { path, mode: 0o755 }, { cause }));
  const cpuset = place.paths.cpuset;
  const mount = facts.cgroups.v1.find(({ controllers }) => controllers.includes("cpuset"))?.mountPoint;
  return [
    ...directories,
    ...(cpuset !== undefined && mount !== undefined ? fillCpusets(facts, mount, cpuset) : []),
    ...delegateControllers(facts, place),
  ];
}

/** A v1 cpuset starts empty, and nothing can enter it then: each level gets what its parent has. */
function fillCpusets(facts: HostFacts, mountPoint: string, directory: string): Operation[] {
  const levels = levelsBelow(mountPoint, directory);
  return ["cpuset.cpus", "cpuset.mems"].flatMap((file) => {
    let inherited = facts.readText(`${mountPoint}/${file}`) ?? "";
    return levels.flatMap((level) => {
      const own = facts.readText(`${level}/${file}`) ?? "";
      if (own === "") return [writeCgroup(`${level}/${file}`, inherited, "cpuset of the parent")];
      inherited = own;
      return [];
    });
  });
}

/** v2: a controller exists in a cgroup when every ancestor hands it down. */
function delegateControllers(facts: HostFacts, place: CgroupPlace): Operation[] {
  const directory = unifiedDirectory(place);
  const unified = facts.cgroups.unified;
  if (directory === undefined || unified === undefined || facts.cgroups.mode !== "v2") return [];
  const parents = [unified.mountPoint, ...levelsBelow(unified.mountPoint, dirname(directory))];
  return parents.flatMap((parent) => {
    const enabled = new Set((facts.readText(`${parent}/cgroup.subtree_control`) ?? "").split(" "));
    const missing = unified.controllers.filter((name) => !enabled.has(name));
    const path = `${parent}/cgroup.subtree_control`;
    return missing.map((name) =>
      operation(
        "writeFile",
        { path, data: `+${name}`, flags: O_WRONLY },
        // A controller that can't be handed down matters only when a limit needs it: then that limit's file is missing.
        {
          cause: `cgroup controller ${name}`,
          tolerate: ["EBUSY", "ENOENT", "EINVAL", "EOPNOTSUPP", "EPERM", "EACCES"],
        },
      ),
    );
  });
}

/** "/m/a", "/m/a/b" for "/m" and "/m/a/b". */
function levelsBelow(mountPoint: string, directory: string): string[] {
  const parts = directory
    .slice(mountPoint.length)
    .split("/")
    .filter((part) => part !== "");
  return parts.map((_, i) => `${mountPoint}/${parts.slice(0, i + 1).join("/")}`);
}

/** How a process enters: what is opened before `clone`, the slot `clone` enters by, and what the new process does itself. */
export interface CgroupEntry {
  readonly before: readonly Operation[];
  readonly slot: number;
  readonly after: readonly Operation[];
}

/**
 * v1: the process writes "0" to each `tasks` file itself, which takes no global lock (a parent's write of a pid waits for an RCU grace
 * period); the unified tree is entered by clone3. `handles`: the files are opened before, for a process that may not open them any more.
 */
export function enterCgroups(
  place: CgroupPlace,
  { slot, handles }: { readonly slot: number; readonly handles: boolean },
): CgroupEntry {
  const cause = "enter the cgroup";
  const unified = unifiedDirectory(place);
  const tasks = v1Directories(place).map((directory) => `${directory}/tasks`);
  const into =
    unified === undefined ? [] : [operation("open", { slot, flags: O_DIRECTORY_PATH, path: unified }, { cause })];
  const opened = tasks.map((path, i) => operation("open", { slot: slot + 1 + i, flags: O_WRONLY, path }, { cause }));
  const written = tasks.map((path, i) =>
    operation("writeSlot", { slot: slot + 1 + i, data: "0" }, { cause, subject: path }),
  );
  return {
    before: [...into, ...(handles ? opened : [])],
    slot: unified === undefined ? NO_SLOT : slot,
    after: handles ? written : tasks.map((path) => writeCgroup(path, "0", cause)),
  };
}
