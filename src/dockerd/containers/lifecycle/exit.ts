/**
 * The end of a container's process: recorded, told to who waits, then cleaned up. Runs in the container's queue. Docker's order of
 * events: die, network disconnect, volume unmount, (stop), destroy.
 */
import { parseTimeNs, timeNow } from "../../time.ts";
import { type Container, isUnwanted } from "../container.ts";
import type { ContainerDeps } from "../deps.ts";
import { type ContainerRecord, noSandbox } from "../record.ts";
import { unmountSharedMemory } from "../shared-memory.ts";
import { isActive } from "../state.ts";
import { nextDelayMs, shouldRestart } from "./restart-policy.ts";
import { unmountVolumes } from "./start.ts";

export interface ProcessEnd {
  readonly exitCode: number;
  /** RFC 3339. */
  readonly at: string;
  readonly oomKilled: boolean;
}

export interface ExitActions {
  /** Starts it again after a while (in its queue). */
  readonly scheduleRestart: (container: Container, delayMs: number) => void;
  /** AutoRemove. */
  readonly remove: (container: Container) => void;
}

export interface Exit {
  readonly end: ProcessEnd;
  readonly actions: ExitActions;
}

export async function containerExited(
  deps: ContainerDeps,
  container: Container,
  { end, actions }: Exit,
): Promise<void> {
  const before = container.record;
  if (!isActive(before.state)) return; // Told twice: the first one counted.
  const restarts = shouldRestart({
    policy: before.hostConfig.RestartPolicy,
    exitCode: end.exitCode,
    restartCount: before.restartCount,
    stopRequested: isUnwanted(container),
  });
  const ranMs = elapsedMs(before.state.startedAt, end.at);
  const { exitCode, at, oomKilled } = end;
  const isRemoved = !restarts && before.hostConfig.AutoRemove;
  const exited = { kind: "exited", exitCode, at, oomKilled, restarts } as const;
  // Of one that goes anyway nothing is saved: a next engine looks, sees that it ended, and removes it too.
  if (isRemoved) container.pass(exited);
  else await container.move(exited);
  deps.events.container(container.record, "die", {
    exitCode: String(end.exitCode),
    execDuration: String(Math.floor(ranMs / 1000)),
  });
  container.tellEnded();
  if (isRemoved) {
    // From here on nobody sees it, and its name is free.
    deps.registry.remove(container);
    deps.leaving.add(container.whenGone);
    // Anonymous volumes can be seen and, while it holds another's, not be removed: then whoever waits hears of it at its real end.
    const holdsVolumes = before.mounts.some(({ anonymous }) => anonymous) || before.hostConfig.VolumesFrom?.length;
    if (!holdsVolumes) container.tellRemoved();
  }
  if (restarts) {
    container.restartDelayMs = nextDelayMs(container.restartDelayMs, ranMs);
    actions.scheduleRestart(container, container.restartDelayMs);
  }
  const keepsSandbox = restarts || container.keepSandbox;
  await cleanUp(deps, container, keepsSandbox);
  if (isRemoved) actions.remove(container);
}

function elapsedMs(from: string, to: string): number {
  const start = parseTimeNs(from);
  const end = parseTimeNs(to);
  return start === undefined || end === undefined ? 0 : Math.max(0, Number((end - start) / 1_000_000n));
}

/** With `keepsSandbox` the namespaces, the address and the ports stay for the next run. */
async function cleanUp(deps: ContainerDeps, container: Container, keepsSandbox: boolean): Promise<void> {
  const { record } = container;
  await attempt(deps, record, "remove the ended task", () => deps.tasks.remove(record.id, keepsSandbox));
  if (!keepsSandbox) {
    announceDisconnects(deps, record);
    await attempt(deps, record, "release the network", () => deps.sandboxes.release(record));
    await container.settle({ sandbox: noSandbox });
  }
  await attempt(deps, record, "unmount volumes", () => unmountVolumes(deps, record));
  await attempt(deps, record, "unmount shared memory", () => unmountSharedMemory(deps.kernel, record));
  for (const mount of record.mounts)
    if (mount.Type === "volume")
      deps.events.volume(record, "unmount", {
        name: mount.Name!,
        driver: mount.Driver ?? "local",
        destination: mount.Destination,
        writable: mount.RW,
      });
}

function announceDisconnects(deps: ContainerDeps, record: ContainerRecord): void {
  for (const [name, endpoint] of Object.entries(record.sandbox.endpoints)) {
    deps.events.network(record, "disconnect", {
      id: endpoint.NetworkID,
      name,
      type: deps.networks.find(name)?.driver ?? "bridge",
    });
  }
}

/** A step of a clean-up: its failure is reported and the others go on; the next start-up finds what is left. */
export async function attempt(
  deps: ContainerDeps,
  record: ContainerRecord,
  what: string,
  step: () => Promise<unknown>,
): Promise<void> {
  try {
    await step();
  } catch (error) {
    deps.log.warn(what, {
      container: record.id,
      error: error instanceof Error ? error.message : String(error),
      at: timeNow(),
    });
  }
}
