/** Start: everything that does not depend on each other at once, then Tasks.Create and Tasks.Start. Runs in the container's queue. */
import { setTimeout as delay } from "node:timers/promises";
import { digestOf } from "../../../oci/digest.ts";
import { HullError } from "../../../platform/errors.ts";
import type { SpanContext } from "../../../trace/context.ts";
import { timeNow } from "../../time.ts";
import type { Container } from "../container.ts";
import { ensureBindSources } from "../create/mounts.ts";
import type { ContainerDeps } from "../deps.ts";
import { writeNetworkFiles } from "../files.ts";
import { linkLines } from "../links.ts";
import { logFileOf } from "../log-config.ts";
import { type ContainerRecord, noSandbox } from "../record.ts";
import type { Sandbox } from "../sandboxes.ts";
import { mountSharedMemory, unmountSharedMemory } from "../shared-memory.ts";
import { verifyJoined } from "../spec/namespaces.ts";
import { buildSpec, specFacts } from "../spec/spec.ts";
import { discardTask } from "./discard.ts";
import { startFailure } from "./start-failure.ts";

export interface StartOptions {
  readonly parent: SpanContext | undefined;
  /** By the policy: counts, and the namespaces of the last run stay. */
  readonly byPolicy: boolean;
}

/** Throws the failure in Docker's words after recording it. */
export async function startContainer(deps: ContainerDeps, container: Container, options: StartOptions): Promise<void> {
  refuseWrongState(container.record);
  try {
    await bringUp(deps, container, options);
  } catch (error) {
    const failure = startFailure(error);
    await container.move({ kind: "startFailed", exitCode: failure.exitCode, error: failure.message });
    await giveUp(deps, container);
    container.streams.failStart();
    deps.events.container(container.record, "die", { exitCode: String(failure.exitCode), execDuration: "0" });
    throw new HullError("internal", failure.message, { cause: error, facts: { httpStatus: failure.status } });
  }
}

function refuseWrongState({ state, id }: ContainerRecord): void {
  if (state.kind === "running") throw new HullError("not-modified", `Container ${id} is already running`);
  if (state.kind === "paused") throw new HullError("conflict", "cannot start a paused container, try unpause instead");
  if (state.kind === "removing")
    throw new HullError("conflict", "container is marked for removal and cannot be started");
  if (state.kind === "dead") throw new HullError("conflict", "container is dead and cannot be started");
}

async function bringUp(deps: ContainerDeps, container: Container, options: StartOptions): Promise<void> {
  const before = container.record;
  const step = <T>(name: string, work: (parent: SpanContext) => Promise<T>): Promise<T> =>
    deps.tracer.within(name, { parent: options.parent, attributes: { container: before.id } }, (span) =>
      work(span.context),
    );
  verifyJoined(before, specFacts(deps));
  await renewSpec(deps, container);
  const creating = step("create task", (parent) => deps.tasks.create(before.id, taskOf(before), parent));
  const pid = await network(deps, container, { step, creating });
  await step("attach clients", () => container.streams.attachWaiting());
  const restartCount = options.byPolicy ? before.restartCount + 1 : 0;
  await container.moveWith(
    { kind: "started", pid, at: timeNow() },
    { startedBefore: true, manuallyStopped: false, restartCount },
    () => step("start task", (parent) => deps.tasks.start(before.id, parent)),
  );
  container.stopRequested = false;
  announce(deps, container.record, before.sandbox.id === "");
  deps.sandboxes.running(container.record).catch((error: unknown) => {
    deps.log.warn("hand the DNS sockets to netd", { container: before.id, error: String(error) });
  });
  deps.health.start(container);
}

/** An address or a port may still be held by a container that is on its way out. */
async function connect(deps: ContainerDeps, record: ContainerRecord, parent: SpanContext): Promise<Sandbox> {
  const { any } = deps.leaving;
  try {
    return await deps.sandboxes.connect(record, parent);
  } catch (error) {
    if (!any) throw error;
    await deps.leaving.settled();
    return deps.sandboxes.connect(record, parent);
  }
}

/** Sends the specification to hull-containerd when it is not what it has. */
async function renewSpec(deps: ContainerDeps, container: Container): Promise<void> {
  const spec = JSON.stringify(buildSpec(deps, container.record));
  const specDigest = digestOf(spec);
  if (container.lastSpecDigest === specDigest) return;
  await deps.tasks.updateSpec(container.id, Buffer.from(spec));
  container.lastSpecDigest = specDigest;
}

interface Underway {
  readonly step: <T>(name: string, work: (parent: SpanContext) => Promise<T>) => Promise<T>;
  /** Tasks.Create: gets as far as it can without what is prepared here. */
  readonly creating: Promise<number>;
}

/** Makes what the task's processes stand on while the task is being created. Both have ended when this does. Returns the process id. */
async function network(deps: ContainerDeps, container: Container, { step, creating }: Underway): Promise<number> {
  creating.catch(() => undefined); // Told below, when all that was begun has ended.
  try {
    const { sandbox, files } = await step("prepare", (parent) => prepare(deps, container, parent));
    await untilSettled(creating, () => deps.tasks.provideNetwork(container.id, sandbox.sockets));
    await files;
  } catch (error) {
    await Promise.allSettled([deps.tasks.refuseNetwork(container.id, "its network could not be made"), creating]);
    throw error;
  }
  return creating;
}

const AGAIN_MS = 20;

/** Asks until the answer is yes, or nobody is there any more to ask. */
async function untilSettled(work: Promise<unknown>, ask: () => Promise<boolean>): Promise<void> {
  let isSettled = false;
  const settled = work.then(
    () => undefined,
    () => undefined,
  );
  void settled.then(() => {
    isSettled = true;
  });
  while (!isSettled && !(await ask())) await Promise.race([settled, delay(AGAIN_MS)]);
}

interface Ground {
  readonly sandbox: Sandbox;
  /** hosts and resolv.conf, written in place: nobody reads them before the process runs. */
  readonly files: Promise<void>;
}

/** What the task's processes stand on: network, volumes, files. */
async function prepare(deps: ContainerDeps, container: Container, parent: SpanContext): Promise<Ground> {
  const before = container.record;
  const links = linkLines(before, specFacts(deps).lookUp);
  const [sandbox] = await Promise.all([
    connect(deps, before, parent),
    mountVolumes(deps, before),
    ensureBindSources(before),
    mountSharedMemory(deps.kernel, before),
  ]);
  const files = writeNetworkFiles(before, sandbox, links);
  files.catch(() => undefined); // Told where it is awaited.
  const { id, key, ports, endpoints } = sandbox;
  container.show({ sandbox: { id, key, ports, endpoints } });
  return { sandbox, files };
}

const taskOf = (record: ContainerRecord) => ({
  terminal: record.config.Tty,
  stdin: record.config.OpenStdin,
  stdinOnce: record.config.StdinOnce,
  rows: record.hostConfig.ConsoleSize[0],
  columns: record.hostConfig.ConsoleSize[1],
  log: logFileOf(record),
  spillDirectory: record.directory,
});

/** Volumes with driver options are mounted with their first user. */
async function mountVolumes(deps: ContainerDeps, record: ContainerRecord): Promise<void> {
  for (const mount of record.mounts) if (mount.Type === "volume") await deps.volumes.mount(mount.Name!, record.id);
}

/** `isConnected`: the network is new, not kept over a restart. */
function announce(deps: ContainerDeps, record: ContainerRecord, isConnected: boolean): void {
  for (const [name, endpoint] of isConnected ? Object.entries(record.sandbox.endpoints) : [])
    deps.events.network(record, "connect", {
      id: endpoint.NetworkID,
      name,
      type: deps.networks.find(name)?.driver ?? "bridge",
    });
  for (const mount of record.mounts) {
    if (mount.Type !== "volume") continue;
    deps.events.volume(record, "mount", {
      name: mount.Name!,
      driver: mount.Driver ?? "local",
      destination: mount.Destination,
      writable: mount.RW,
    });
  }
  deps.events.container(record, "start");
}

/** Undoes a start that failed; what it meets was made by it. */
async function giveUp(deps: ContainerDeps, container: Container): Promise<void> {
  const { record } = container;
  const steps: readonly (() => Promise<unknown>)[] = [
    () => discardTask(deps, record.id),
    () => deps.tasks.stopSandbox(record.id),
    () => deps.sandboxes.release(record),
    () => unmountVolumes(deps, record),
    () => unmountSharedMemory(deps.kernel, record),
  ];
  for (const step of steps) {
    try {
      await step();
    } catch (error) {
      deps.log.warn("cleaning up after a failed start", { container: record.id, error: String(error) });
    }
  }
  await container.settle({ sandbox: noSandbox });
}

export async function unmountVolumes(deps: ContainerDeps, record: ContainerRecord): Promise<void> {
  for (const mount of record.mounts) if (mount.Type === "volume") await deps.volumes.unmount(mount.Name!, record.id);
}
