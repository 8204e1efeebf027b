/** Signals, freezing, terminals, limits of a task. */

import type { Operation } from "../../keel/plan.ts";
import { HullError } from "../../platform/errors.ts";
import { foreignCommand, foreignOf } from "./foreign/runtime.ts";
import type { Task } from "./task.ts";
import type { TaskHost } from "./task-host.ts";

export interface KillTask {
  readonly execId: string;
  readonly signal: number;
  readonly all: boolean;
}

/** Throws `not-found` when the process has ended. Never waits for other writers of the task. */
export async function killProcess(host: TaskHost, task: Task, { execId, signal, all }: KillTask): Promise<void> {
  const { state } = task.process(execId);
  if (state.kind === "stopped" && !all) throw new HullError("not-found", "process already finished: not found");
  if (execId === "" && foreignOf(host.roots, task)) return killForeign(host, task, { signal, all });
  await task.shim().call((shim, options) => shim.kill({ execId, signal, all }, options));
  // A frozen process takes no signal, not even this one.
  if (signal === 9 && task.init.state.kind === "paused")
    await host.launcher.run(host.plans.thaw(task.identity.file.cgroup));
}

/** By the runtime that made it: what it keeps its processes in may take no signals from outside. */
async function killForeign(
  host: TaskHost,
  task: Task,
  { signal, all }: Pick<KillTask, "signal" | "all">,
): Promise<void> {
  try {
    await host.launcher.run(foreignSteps(host, task, { before: ["kill"], after: [String(signal)] })!);
  } catch (error) {
    if (!all && task.init.state.kind !== "stopped" && task.isAlive()) throw error;
  }
  // Whoever is left in its cgroup besides init; a frozen one takes no signal until it is thawed.
  if (all) await task.shim().call((shim, options) => shim.kill({ execId: "", signal, all }, options));
  if (signal === 9 && task.init.state.kind === "paused")
    await host.launcher.run(host.plans.thaw(task.identity.file.cgroup));
}

interface ForeignAsk {
  /** Before and after the container's id. */
  readonly before: readonly string[];
  readonly after?: readonly string[];
  readonly input?: string;
}

/** Undefined where our own runtime made it. */
function foreignSteps(host: TaskHost, task: Task, { before, after = [], input }: ForeignAsk): Operation[] | undefined {
  const runtime = foreignOf(host.roots, task);
  return runtime && [foreignCommand(runtime, [...before, runtime.id, ...after], input)];
}

export function pauseTask(host: TaskHost, task: Task): Promise<void> {
  return task.serial.run(async () => {
    if (task.init.state.kind !== "running")
      throw new HullError("failed-precondition", `cannot pause a ${task.init.state.kind} container`);
    await host.launcher.run(
      foreignSteps(host, task, { before: ["pause"] }) ?? host.plans.freeze(task.identity.file.cgroup),
    );
    task.move("", { kind: "pause" });
    host.events.publish(task.namespace, "/tasks/paused", { containerId: task.id });
  });
}

const isPaused = (task: Task): boolean => task.init.state.kind === "paused";

export function resumeTask(host: TaskHost, task: Task): Promise<void> {
  return task.serial.run(async () => {
    if (!isPaused(task))
      throw new HullError("failed-precondition", `cannot resume a ${task.init.state.kind} container`);
    await host.launcher.run(
      foreignSteps(host, task, { before: ["resume"] }) ?? host.plans.thaw(task.identity.file.cgroup),
    );
    // A signal that waited for this may have ended it by now.
    if (!isPaused(task)) return;
    task.move("", { kind: "resume" });
    host.events.publish(task.namespace, "/tasks/resumed", { containerId: task.id });
  });
}

/** `resources`: linux.resources of the runtime-spec as JSON. */
export function updateTask(host: TaskHost, task: Task, resources: Uint8Array): Promise<void> {
  return task.serial.run(async () => {
    const foreign = foreignSteps(host, task, {
      before: ["update", "--resources", "-"],
      input: Buffer.from(resources).toString(),
    });
    if (foreign) return void (await host.launcher.run(foreign));
    const { operations, warnings } = host.plans.update(task.identity.file.cgroup, resources);
    await host.launcher.run(operations);
    for (const warning of warnings) host.warn(`update ${task.id}: ${warning}`);
  });
}
