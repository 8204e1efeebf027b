/** The files of a bundle in the exec root (renamed into place, never synced: they die with the machine). */
import { readdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Operation, operation } from "../../keel/plan.ts";
import { codeOf, during } from "../../platform/errors.ts";
import type { CgroupPlace } from "../../runc/cgroup/place.ts";

const O_WRONLY_CREAT_TRUNC = 0o1101;
const SCHEMA = 1;

/** task.json: what a new hull-containerd must know of a task it did not make. */
export interface TaskFile {
  readonly schema: number;
  readonly cgroup: CgroupPlace;
  readonly stdin: string;
  readonly stdout: string;
  readonly stderr: string;
  readonly terminal: boolean;
  /** Where the root file system was mounted for this task; empty: it was not. */
  readonly mountedRoot: string;
  /** Another OCI runtime's program, and the root file system it runs in; absent: our own. */
  readonly runtime?: { readonly binary: string; readonly rootfs: string } | undefined;
  readonly pid: number;
}

export const taskFile = (facts: Omit<TaskFile, "schema" | "pid">): TaskFile => ({ schema: SCHEMA, pid: 0, ...facts });

/** Operations that make the bundle with its config.json and task.json. */
export function bundleOperations(bundle: string, spec: Uint8Array, task: TaskFile): Operation[] {
  const write = (name: string, data: Uint8Array | string): Operation =>
    operation(
      "writeFile",
      { path: join(bundle, name), data, flags: O_WRONLY_CREAT_TRUNC, mode: 0o600 },
      { cause: "bundle" },
    );
  return [
    operation("mkdirAll", { path: bundle, mode: 0o700 }, { cause: "bundle" }),
    write("config.json", spec),
    write("task.json", JSON.stringify(task)),
  ];
}

/** Undefined when it is absent, of another schema or cut short: the bundle is a leftover then. */
export async function readTaskFile(bundle: string): Promise<TaskFile | undefined> {
  const text = await readIfThere(join(bundle, "task.json"));
  const task = parse<TaskFile>(text);
  return task?.schema === SCHEMA ? task : undefined;
}

/** shim.json, which the shim writes. */
export interface ShimFile {
  readonly pid: number;
  readonly pausePid: number;
  readonly initPid: number;
  readonly initStartTime: number | string;
}

export const readShimFile = async (bundle: string): Promise<ShimFile | undefined> =>
  parse<ShimFile>(await readIfThere(join(bundle, "shim.json")));

const REPORTED = "exit.reported";

/** Remembers that the exit of init was published. */
export async function markReported(bundle: string): Promise<void> {
  const path = join(bundle, REPORTED);
  await writeFile(`${path}.tmp`, "")
    .then(() => rename(`${path}.tmp`, path))
    .catch((error) => {
      if (codeOf(error) !== "not-found") throw during(`write ${path}`, error);
    });
}

export const wasReported = async (bundle: string): Promise<boolean> =>
  (await readIfThere(join(bundle, REPORTED))) !== undefined;

/** Every bundle of the exec root as [namespace, id]. */
export async function listBundles(root: string): Promise<(readonly [string, string])[]> {
  const found: (readonly [string, string])[] = [];
  for (const namespace of await readdir(root).catch(() => [])) {
    for (const id of await readdir(join(root, namespace))) found.push([namespace, id]);
  }
  return found;
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (codeOf(error) === "not-found") return undefined;
    throw during(`read ${path}`, error);
  }
}

function parse<T>(text: string | undefined): T | undefined {
  try {
    return text === undefined ? undefined : (JSON.parse(text) as T);
  } catch {
    return undefined;
  }
}
