/** Removal: everything of a container goes, in an order that a crash in between can be finished later. */
import { codeOf, HullError } from "../../../platform/errors.ts";
import type { Container } from "../container.ts";
import type { ContainerDeps } from "../deps.ts";
import type { ContainerRecord } from "../record.ts";
import { unmountSharedMemory } from "../shared-memory.ts";
import { isActive } from "../state.ts";
import { discardTask } from "./discard.ts";
import { attempt } from "./exit.ts";
import { killContainer } from "./stop.ts";

export interface RemoveOptions {
  readonly force: boolean;
  /** Anonymous volumes too. */
  readonly volumes: boolean;
  readonly abort: AbortSignal;
}

export async function removeContainer(
  deps: ContainerDeps,
  container: Container,
  options: RemoveOptions,
): Promise<void> {
  refuse(container.record, options.force);
  // Before anything is waited for: from here on no policy starts it.
  container.removalRequested = true;
  try {
    while (!(await removeNow(deps, container, options)));
  } finally {
    container.removalRequested = false;
  }
}

/** False when it runs again (a start was under way, or another client's came first): it has to be killed again. */
async function removeNow(deps: ContainerDeps, container: Container, options: RemoveOptions): Promise<boolean> {
  if (isActive(container.state) && options.force)
    await killContainer(deps, container, { signal: "KILL", abort: options.abort });
  return container.queue.run(async () => {
    if (container.isGone) return true;
    if (isActive(container.state) && options.force) return false;
    refuse(container.record, options.force);
    container.restartTimer?.cancel();
    await removeStopped(deps, container, options.volumes);
    return true;
  });
}

function refuse({ state, id, name }: ContainerRecord, force: boolean): void {
  if (state.kind === "removing") throw new HullError("conflict", `removal of container ${id} is already in progress`);
  if (force) return;
  const reasons: Partial<Record<ContainerRecord["state"]["kind"], string>> = {
    running: "container is running: stop the container before removing or force remove",
    paused: "container is paused and must be unpaused first",
    restarting: "container is restarting: stop the container before removing or force remove",
  };
  const reason = reasons[state.kind];
  if (reason) throw new HullError("conflict", `cannot remove container "${name}": ${reason}`);
}

/** Runs in the queue. An earlier attempt that was cut short is gone through again. */
export async function removeStopped(deps: ContainerDeps, container: Container, volumes: boolean): Promise<void> {
  if (container.isGone) return; // Removed meanwhile.
  if (isActive(container.state)) throw new HullError("conflict", `container ${container.id} was started again`);
  // Before it is removed: whoever finishes the removal removes what it still owns.
  if (!volumes) await disownVolumes(deps, container.record);
  await container.move({ kind: "removing" });
  const { record } = container;
  try {
    await removeFromContainerd(deps, record);
    await deps.sandboxes.forget(record);
    await unmountSharedMemory(deps.kernel, record);
    await deps.store.remove(record);
  } catch (error) {
    await container.move({ kind: "removalFailed", error: error instanceof Error ? error.message : String(error) });
    deps.registry.add(container); // It may have been hidden already.
    container.tellGone(false);
    throw error;
  }
  deps.registry.remove(container);
  container.streams.failStart();
  await releaseVolumes(deps, record);
  container.tellGone(true);
  deps.events.container(record, "destroy");
  container.tellRemoved();
}

const ATTEMPTS = 3;

/** A hull-containerd that is killed while it cleans up after a task finds that task again: then it is discarded again. */
async function removeFromContainerd(deps: ContainerDeps, record: ContainerRecord): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    await discardTask(deps, record.id);
    await deps.tasks.stopSandbox(record.id);
    try {
      return await deps.tasks.removeContainer(record.id, record.driver);
    } catch (error) {
      if (codeOf(error) !== "failed-precondition" || attempt === ATTEMPTS) throw error;
    }
  }
}

/** Throws when it can't be recorded: the removal would take the volume with it. */
async function disownVolumes(deps: ContainerDeps, { mounts }: ContainerRecord): Promise<void> {
  for (const { Name, anonymous } of mounts) if (anonymous) await deps.volumes.disown(Name!);
}

async function releaseVolumes(deps: ContainerDeps, record: ContainerRecord): Promise<void> {
  for (const { Type, Name } of record.mounts) {
    if (Type !== "volume") continue;
    deps.volumes.release(Name!, record.id);
    if (deps.volumes.find(Name!)?.owner === record.id)
      await attempt(deps, record, `remove volume ${Name}`, () => removeUnused(deps, Name!));
  }
}

/** Another container may refer to it too: then it stays. */
async function removeUnused(deps: ContainerDeps, name: string): Promise<void> {
  try {
    await deps.volumes.remove(name, true);
  } catch (error) {
    if (codeOf(error) !== "conflict") throw error;
    await deps.volumes.disown(name);
  }
}
