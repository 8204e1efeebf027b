/**
 * Deletes a stopped task. The answer is its exit record; shim, mount, cgroups and bundle go after it, and the next task of the
 * container waits for that. With `keepSandbox` pause and its namespaces stay.
 */
import { again } from "../../keel/again.ts";
import { operation } from "../../keel/plan.ts";
import { codeOf, HullError, messageOf } from "../../platform/errors.ts";
import type { CgroupPlace } from "../../runc/cgroup/place.ts";
import { toTimestamp } from "../timestamp.ts";
import { stopSandbox } from "./end-supervisors.ts";
import { foreignDelete, foreignOf } from "./foreign/runtime.ts";
import type { ProcessState } from "./process-state.ts";
import { unmountOperation } from "./rootfs-mount.ts";
import type { Task } from "./task.ts";
import type { TaskHost } from "./task-host.ts";

const SHIM_END_MS = 5000;
const CGROUP_ATTEMPTS = 10;

export type Stopped = ProcessState & { readonly kind: "stopped" };

/** Throws `failed-precondition` while it runs. A created task that was never started is killed first. */
export function deleteTask(
  host: TaskHost,
  task: Task,
  { keepSandbox }: { readonly keepSandbox: boolean },
): Promise<Stopped> {
  return task.serial.run(async () => {
    if (host.tasks.find(task.namespace, task.id) !== task)
      throw new HullError("not-found", `task ${task.id}: not found`);
    const stopped = await ended(task);
    host.tasks.remove(task);
    host.events.publish(task.namespace, "/tasks/delete", {
      containerId: task.id,
      pid: stopped.pid,
      exitStatus: stopped.exit.exitStatus,
      exitedAt: toTimestamp(stopped.exit.exitedAt),
      id: task.id,
    });
    host.cleanups.begin(task.namespace, task.id, () => cleanUp(host, task, keepSandbox));
    return stopped;
  });
}

async function ended(task: Task): Promise<Stopped> {
  const { state } = task.init;
  if (state.kind === "stopped") return state;
  if (state.kind !== "created")
    throw new HullError("failed-precondition", `task must be stopped before deletion: ${state.kind}`);
  await task.shim().call((shim, options) => shim.kill({ signal: 9 }, options));
  return task.wait("", AbortSignal.timeout(SHIM_END_MS));
}

/** The bundle goes last: a next daemon finds by it what this one did not live to remove. */
async function cleanUp(host: TaskHost, task: Task, keepSandbox: boolean): Promise<void> {
  const { paths, file } = task.identity;
  await endForeign(host, task);
  await endShim(host, task, keepSandbox);
  await supervisorsGone(task, keepSandbox);
  const unmount = file.mountedRoot === "" ? [] : [unmountOperation(file.mountedRoot)];
  // Killed ones leave their socket files behind.
  const sockets = keepSandbox ? [paths.shimSocket] : [paths.shimSocket, paths.pauseSocket];
  const unlink = sockets.map((path) => operation("unlink", { path }, { tolerate: ["ENOENT"], cause: "delete" }));
  const steps = [...unmount, ...unlink, ...host.plans.removeCgroups(file.cgroup)];
  const bundle = operation("removeTree", { path: paths.bundle }, { cause: "delete" });
  try {
    await again(() => host.launcher.run([...steps, bundle]));
  } catch (error) {
    if (!isBusy(error)) throw error;
    await removeCgroups(host, file.cgroup);
    await again(() => host.launcher.run([bundle]));
  }
}

/** What another runtime keeps of it: without that its id could not be used again. */
async function endForeign(host: TaskHost, task: Task): Promise<void> {
  const runtime = foreignOf(host.roots, task);
  if (runtime) await host.launcher.run([foreignDelete(runtime)]).catch((error) => host.warn(messageOf(error)));
}

/** The next ones bind the same socket paths: the old ones must be gone by then. */
async function supervisorsGone(task: Task, keepSandbox: boolean): Promise<void> {
  const deadline = Date.now() + SHIM_END_MS;
  while (task.hasShim() || (!keepSandbox && task.hasPause())) {
    if (Date.now() > deadline) throw new HullError("deadline-exceeded", `shim or pause of ${task.id} do not end`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

const isBusy = (error: unknown): boolean =>
  error instanceof HullError && ["EBUSY", "ENOTEMPTY"].includes(String(error.facts.errno));

/** What a container left running is killed; a cgroup whose last process is just going takes a moment to be empty. */
export async function removeCgroups(host: TaskHost, cgroup: CgroupPlace): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      const steps = await host.plans.removeCgroupTrees(cgroup);
      await again(() => host.launcher.run(steps));
      return;
    } catch (error) {
      if (!isBusy(error) || attempt === CGROUP_ATTEMPTS) throw error;
      await host.plans.killAll(cgroup);
      await new Promise((resolve) => setTimeout(resolve, attempt * 5));
    }
  }
}

async function endShim(host: TaskHost, task: Task, keepSandbox: boolean): Promise<void> {
  const { link } = task;
  if (link === undefined) {
    if (!keepSandbox) await stopSandbox(task.identity.paths);
    return;
  }
  try {
    await link.call((shim, options) => shim.shutdown({ pause: !keepSandbox }, options));
  } catch (error) {
    if (codeOf(error) !== "unavailable") host.warn(`container ${task.id}: its shim does not end: ${String(error)}`);
    if (!keepSandbox) await stopSandbox(task.identity.paths);
  } finally {
    link.close();
  }
}
