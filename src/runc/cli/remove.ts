/** What is left of a container that has ended: cgroups, state. */
import { readdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { parseRuntimeSpec, type RuntimeSpec } from "../../oci/runtime-spec.ts";
import { during, HullError, messageOf } from "../../platform/errors.ts";
import { type CgroupPlace, directoriesOf } from "../cgroup/place.ts";
import type { CliContext } from "./context.ts";
import { runHooks } from "./outer-hooks.ts";
import { type ContainerState, forget } from "./state.ts";

const DEADLINE_MS = 2000;

const isBusy = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === "EBUSY";

/** A process that has just ended may hold its cgroup for a moment; one that goes on is ended. */
async function removeDirectory(path: string, cgroup: CgroupPlace): Promise<void> {
  for (const deadline = Date.now() + DEADLINE_MS; ; ) {
    try {
      return removeTree(path);
    } catch (error) {
      if (!isBusy(error) || Date.now() > deadline) throw during(`remove cgroup ${path}`, error);
      const { killAll } = await import("../cgroup/control.ts");
      await killAll(cgroup);
      await new Promise((resolve) => setTimeout(resolve, 1));
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
  for (const path of directoriesOf(cgroup)) await removeDirectory(path, cgroup);
  forget(context.root, id);
}

/** After its end: poststop hooks run, and only warn when they fail. */
export async function deleteStopped(
  context: CliContext,
  state: ContainerState,
  spec: Pick<RuntimeSpec, "hooks" | "annotations"> = parseRuntimeSpec(state.config),
): Promise<void> {
  await removeContainer(context, state);
  const { hooks, annotations } = spec;
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
