/** What is left of a container that has ended: cgroups, state. */
import { existsSync, readdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { parseRuntimeSpec } from "../../oci/runtime-spec.ts";
import { during, HullError, messageOf } from "../../platform/errors.ts";
import { killAll } from "../cgroup/control.ts";
import { type CgroupPlace, directoriesOf } from "../cgroup/place.ts";
import type { CliContext } from "./context.ts";
import { runHooks } from "./outer-hooks.ts";
import { type ContainerState, forget } from "./state.ts";

const DEADLINE_MS = 2000;

/** A process that has just ended may hold its cgroup for a moment. */
async function removeDirectory(path: string): Promise<void> {
  for (const deadline = Date.now() + DEADLINE_MS; ; ) {
    try {
      return removeTree(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EBUSY" || Date.now() > deadline)
        throw during(`remove cgroup ${path}`, error);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }
}

/** Cgroups that were made inside go first: the kernel lets no directory go that has others in it. */
function removeTree(path: string): void {
  try {
    rmdirSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return;
    if (code !== "EBUSY" && code !== "ENOTEMPTY") throw error;
    const below = readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    if (below.length === 0) throw error;
    for (const entry of below) removeTree(join(path, entry.name));
    rmdirSync(path);
  }
}

/** Ends what is still in it, then removes it. */
export async function removeContainer(
  context: CliContext,
  { id, cgroup }: { readonly id: string; readonly cgroup: CgroupPlace },
): Promise<void> {
  const directories = directoriesOf(cgroup).filter((path) => existsSync(path));
  if (directories.length > 0) await killAll(cgroup);
  for (const path of directories) await removeDirectory(path);
  forget(context.root, id);
}

/** After its end: poststop hooks run, and only warn when they fail. */
export async function deleteStopped(context: CliContext, state: ContainerState): Promise<void> {
  await removeContainer(context, state);
  const { hooks, annotations } = parseRuntimeSpec(state.config);
  for (const hook of hooks.poststop) {
    try {
      await runHooks([hook], "poststop", {
        id: state.id,
        status: "stopped",
        pid: 0,
        bundle: state.bundle,
        annotations,
      });
    } catch (error) {
      context.log.write("warning", messageOf(error));
    }
  }
}

export const notStopped = (id: string, status: string): HullError =>
  new HullError("failed-precondition", `cannot delete container ${id} that is not stopped: ${status}`);
