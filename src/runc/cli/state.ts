/**
 * Containers of the command line: `<root>/<id>/state.json`, written to a temporary name and renamed.
 *
 * Lifecycle: `claim` makes the directory (one wins), `save` replaces the state, `forget` removes it.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { during, HullError } from "../../platform/errors.ts";
import type { CgroupPlace } from "../cgroup/place.ts";
import type { OciStatus } from "../hook-state.ts";

const SCHEMA = 1;
export const FIFO = "exec.fifo";

export interface ContainerState {
  readonly schema: typeof SCHEMA;
  readonly id: string;
  readonly bundle: string;
  readonly rootfs: string;
  /** RFC 3339 */
  readonly created: string;
  readonly owner: string;
  /** 0: it is being made. */
  readonly pid: number;
  /** Clock ticks since boot (proc(5), stat, field 22): a pid alone may be another's by now. */
  readonly startTime: string;
  readonly cgroup: CgroupPlace;
  /** config.json as it was when the container was made. */
  readonly config: string;
}

const nameForm = /^[\w+.-]+$/;

export function checkId(id: string): void {
  if (!nameForm.test(id) || id === "." || id === "..")
    throw new HullError("invalid-argument", "invalid container ID format");
}

export const directoryOf = (root: string, id: string): string => join(root, id);

/** Throws already-exists. */
export function claim(root: string, id: string): string {
  checkId(id);
  mkdirSync(root, { recursive: true, mode: 0o711 });
  const directory = directoryOf(root, id);
  try {
    mkdirSync(directory, { mode: 0o711 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST")
      throw new HullError("already-exists", "container with given ID already exists");
    throw during(`make ${directory}`, error);
  }
  return directory;
}

export function save(root: string, state: Omit<ContainerState, "schema">): ContainerState {
  const made: ContainerState = { schema: SCHEMA, ...state };
  const path = join(directoryOf(root, state.id), "state.json");
  writeFileSync(`${path}.tmp`, JSON.stringify(made), { mode: 0o600 });
  renameSync(`${path}.tmp`, path);
  return made;
}

export const forget = (root: string, id: string): void =>
  rmSync(directoryOf(root, id), { recursive: true, force: true });

/** Throws not-found. */
export function load(root: string, id: string): ContainerState {
  checkId(id);
  const path = join(directoryOf(root, id), "state.json");
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT")
      throw new HullError("not-found", "container does not exist");
    throw during(`read ${path}`, error);
  }
  const state = JSON.parse(text) as ContainerState;
  if (state.schema !== SCHEMA)
    throw new HullError("failed-precondition", `${path} has schema ${state.schema}: this program knows ${SCHEMA}`);
  return state;
}

export function listIds(root: string): string[] {
  if (!existsSync(root)) return [];
  return readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && nameForm.test(entry.name))
    .map((entry) => entry.name)
    .sort();
}

/** Field 22 of stat, or undefined when the process has ended (a zombie counts as ended). */
export function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

export const isAlive = ({ pid, startTime }: ContainerState): boolean => pid > 0 && startTimeOf(pid) === startTime;

export async function statusOf(root: string, state: ContainerState): Promise<OciStatus> {
  if (state.pid === 0) return "creating";
  if (!isAlive(state)) return "stopped";
  if (existsSync(join(directoryOf(root, state.id), FIFO))) return "created";
  const { isFrozen } = await import("../cgroup/control.ts");
  const hasFreezer = state.cgroup.paths.freezer !== undefined || state.cgroup.paths[""] !== undefined;
  return hasFreezer && (await isFrozen(state.cgroup)) ? "paused" : "running";
}
