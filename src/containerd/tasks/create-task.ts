/**
 * Creates a task: the container's spec compiled, its root file system mounted, its cgroups made, pause, shim and init launched, all
 * in one message to keel; or, where a pause was kept, init launched into its namespaces. A failure undoes everything.
 */
import { existsSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { again } from "../../keel/again.ts";
import { type Operation, operation } from "../../keel/plan.ts";
import { measuredSteps } from "../../keel/result.ts";
import { pauseClient } from "../../keel/shim-client.ts";
import type { ShimContainer, ShimLog, ShimStdio } from "../../keel/shim-records.ts";
import { parseObject } from "../../oci/image.ts";
import { codeOf, HullError, messageOf } from "../../platform/errors.ts";
import type { Span } from "../../trace/tracer.ts";
import type { Container } from "../gen/containerd/services/containers/v1/containers_pb.ts";
import { parseIdentifier } from "../identifier.ts";
import { type TaskPaths, taskPaths } from "../roots.ts";
import type { Mount } from "../snapshots/snapshotter.ts";
import { buryTask } from "./adopt-tasks.ts";
import { bundleOperations, taskFile } from "./bundle.ts";
import { removeCgroups } from "./delete-task.ts";
import { endSupervisors } from "./end-supervisors.ts";
import { createFailure } from "./failure.ts";
import { runtimeBinary } from "./foreign/binary.ts";
import { foreignFailure } from "./foreign/failure.ts";
import { foreignProcess } from "./foreign/process.ts";
import { createStage, type ForeignRuntime, foreignDelete, foreignRuntime } from "./foreign/runtime.ts";
import type { Foreseen, ReadyPlan } from "./ready-plans.ts";
import { mountOperations, unmountOperation } from "./rootfs-mount.ts";
import type { ContainerPlan, Launched } from "./runtime.ts";
import { type HeldSocket, sandboxOperations } from "./sandbox-plan.ts";
import { ShimLink } from "./shim-link.ts";
import { Task, type TaskStdio } from "./task.ts";
import type { TaskHost } from "./task-host.ts";

export interface CreateTask {
  readonly namespace: string;
  readonly id: string;
  /** Mounts of the root; empty: the container's snapshot, if it has one. */
  readonly rootfs: readonly Mount[];
  readonly stdio: TaskStdio & Pick<ShimStdio, "rows" | "columns" | "stdinOnce" | "spillDir" | "spillBytes">;
  readonly log?: ShimLog | undefined;
  readonly sockets: readonly HeldSocket[];
  /** The network is being made meanwhile: these sockets count, and nothing is launched before. */
  readonly network: Promise<readonly HeldSocket[]> | undefined;
  readonly newSandbox: boolean;
  readonly span: Span;
}

export async function createTask(host: TaskHost, request: CreateTask): Promise<Task> {
  const { namespace, id } = request;
  const container = host.stores.containers.get(namespace, parseIdentifier(id, "container id"));
  await host.cleanups.settled(namespace, id);
  if (host.tasks.find(namespace, id)) throw new HullError("already-exists", `task ${id}: already exists`);
  const made = prepare(host, request, container);
  host.cgroupParents.note(made.plan.cgroup);
  // Held from here on: a second Create must not begin while this one waits.
  const task = new Task({ namespace, id, paths: made.paths, file: made.file, events: host.events }, 0);
  host.tasks.add(task);
  try {
    const launched = await launchSurely(host, request, made);
    host.tracer.steps(request.span.context, launched.steps);
    adopt(task, launched, host);
  } catch (error) {
    host.tasks.remove(task);
    const failure = made.foreign ? await foreignFailure("create", made.paths.bundle, error) : createFailure(error);
    await undo(host, made);
    throw failure;
  }
  host.events.publish(namespace, "/tasks/create", {
    containerId: id,
    bundle: made.paths.bundle,
    rootfs: made.mounts.map(({ type, source, options }) => ({ type, source, options: [...options] })),
    io: {
      stdin: request.stdio.stdin,
      stdout: request.stdio.stdout,
      stderr: request.stdio.stderr,
      terminal: request.stdio.terminal,
    },
    pid: task.init.state.pid,
  });
  return task;
}

interface Named {
  readonly namespace: string;
  readonly id: string;
}

interface Prepared {
  readonly paths: TaskPaths;
  readonly plan: ContainerPlan;
  readonly mounts: readonly Mount[];
  readonly root: string;
  readonly file: ReturnType<typeof taskFile>;
  readonly host: readonly Operation[];
  readonly stage: readonly Operation[];
  readonly foreign: ForeignRuntime | undefined;
  /** config.json */
  readonly spec: Uint8Array;
}

function prepare(host: TaskHost, request: CreateTask, container: Container): Prepared {
  const { namespace, id, stdio } = request;
  const paths = taskPaths(host.roots, namespace, id);
  const binary = runtimeBinary(container.runtime);
  const foreign = foreignRuntime(binary, { roots: host.roots, namespace, id });
  const snapshot = snapshotOf(host, request, container);
  const of = { record: container.spec!.value, root: snapshot?.root ?? "" };
  const { spec, plan } = host.readyPlans.take(paths.bundle, of) ?? compile(host, { namespace, id }, of);
  const root = isAbsolute(plan.rootPath) ? plan.rootPath : join(paths.bundle, plan.rootPath);
  const mounts = snapshot?.mounts ?? request.rootfs;
  const { stdin, stdout, stderr } = stdio;
  const mountedRoot = mounts.length > 0 ? root : "";
  const terminal = stdio.terminal || plan.terminal;
  const file = taskFile({
    cgroup: plan.cgroup,
    stdin,
    stdout,
    stderr,
    terminal,
    mountedRoot,
    ...(foreign && { runtime: { binary, rootfs: root } }),
  });
  const inBundle = root.startsWith(`${paths.bundle}/`);
  const steps = [
    ...bundleOperations(paths.bundle, spec, file),
    ...(inBundle ? [operation("mkdirAll", { path: root, mode: 0o711 }, { cause: "bundle" })] : []),
    ...mountOperations(mounts, root, join(host.roots.dataRoot, "overlay2")),
    ...(foreign ? foreignGround(foreign, plan) : plan.host),
  ];
  const stage = foreign ? createStage(foreign, { paths, terminal, hostPid: process.pid }) : plan.stage;
  return { paths, plan, mounts, root, file, host: steps, stage, foreign, spec };
}

function compile(host: TaskHost, { namespace, id }: Named, { record, root }: Foreseen): ReadyPlan {
  const { bundle } = taskPaths(host.roots, namespace, id);
  const spec = root === "" ? record : withRootPath(record, root);
  return { spec, plan: host.plans.container({ spec, namespace, id, bundle }) };
}

/** Called when a container and its root have been made: what its start will need is made ready. Never throws. */
export function foreseeTask(host: TaskHost, { namespace, id }: Named): void {
  const { bundle } = taskPaths(host.roots, namespace, id);
  host.readyPlans.foresee(bundle, () => {
    const container = host.stores.containers.get(namespace, id);
    const { root } = host.stores.snapshotters.get(container.snapshotter).paths(namespace, container.snapshotKey);
    const of = { record: container.spec!.value, root };
    return { of, ready: compile(host, { namespace, id }, of) };
  });
}

/** The container's own snapshot, unless the request brings a root; it is mounted where Docker shows it (MergedDir). */
function snapshotOf(host: TaskHost, request: CreateTask, container: Container) {
  if (request.rootfs.length > 0 || container.snapshotKey === "") return undefined;
  const snapshotter = host.stores.snapshotters.get(container.snapshotter);
  const { root, layer } = snapshotter.paths(request.namespace, container.snapshotKey);
  // A snapshot without a layer below is its own root: nothing to mount.
  return { root, mounts: root === layer ? [] : snapshotter.mounts(request.namespace, container.snapshotKey) };
}

/** The spec with root.path leading to where the snapshot is mounted. */
function withRootPath(bytes: Uint8Array, root: string): Uint8Array {
  const spec = parseObject(bytes, "config.json");
  return Buffer.from(JSON.stringify({ ...spec, root: { ...(spec.root as object | undefined), path: root } }));
}

/** When keel was killed under it, what it had begun is undone and its successor does it from the beginning. */
async function launchSurely(host: TaskHost, request: CreateTask, made: Prepared): Promise<Launched> {
  try {
    return await launch(host, request, made);
  } catch (error) {
    if (codeOf(error) !== "unavailable") throw error;
    await undo(host, made);
    return launch(host, request, made);
  }
}

async function launch(host: TaskHost, request: CreateTask, made: Prepared): Promise<Launched> {
  const { namespace, id, log } = request;
  const { paths, plan } = made;
  const container: ShimContainer = {
    id,
    namespace,
    stateDir: paths.bundle,
    pauseSocket: paths.pauseSocket,
    shimSocket: paths.shimSocket,
    memoryCgroup: plan.cgroup.memory,
    oomVersion: plan.cgroup.oomVersion,
  };
  const stdio = shimStdio(made.file.terminal, request.stdio);
  const kept = await keptSandbox(request, paths);
  const apart = made.foreign !== undefined || kept || request.network !== undefined;
  const sockets = await groundwork(host, request, apart ? made.host : []);
  if (made.foreign) await writeNumericSpec(host, made);
  if (!kept) {
    const pause = sandboxOperations(plan.namespaces, sockets);
    return host.launcher.launch({ container, stdio, log, host: apart ? [] : made.host, pause, stage: made.stage });
  }
  const reply = await pauseClient.forkShim(paths.pauseSocket, {
    container,
    stdio,
    ...(log && { log }),
    stage: made.stage,
  });
  const { pausePid, shimPid, pid } = reply;
  return { pausePid, shimPid, pid, steps: () => measuredSteps(made.stage, reply.steps, undefined) };
}

/** Another runtime makes what it needs in its cgroups itself; that they are there lets the shim watch for OOM kills from the start. */
const foreignGround = ({ root }: ForeignRuntime, plan: ContainerPlan): Operation[] => [
  operation("mkdirAll", { path: root, mode: 0o700 }, { cause: "runtime" }),
  ...plan.host.filter(({ name }) => name === "mkdirAll"),
];

/** Of what our specs use nothing is younger, and runtimes refuse versions younger than themselves. */
const OCI_VERSION = "1.0.2";

/** Its root is mounted by now: the container's files tell the numbers of its user. */
async function writeNumericSpec(host: TaskHost, { spec, root, paths, file }: Prepared): Promise<void> {
  const document = parseObject(spec, "config.json");
  const ground = { rootfs: root, capabilities: host.plans.capabilities };
  const process = await foreignProcess(document.process as Record<string, unknown>, ground);
  const numeric = Buffer.from(JSON.stringify({ ...document, ociVersion: OCI_VERSION, process }));
  await host.launcher.run(bundleOperations(paths.bundle, numeric, file));
}

/** What the launch stands on, made while the network is. Both have ended before a failure is told: what is undone is all there. */
async function groundwork(
  host: TaskHost,
  { network, sockets, span }: CreateTask,
  operations: readonly Operation[],
): Promise<readonly HeldSocket[]> {
  const made = host.launcher.run(operations, { parent: span.context });
  const [provided, laid] = await Promise.allSettled([network ?? sockets, made]);
  if (provided.status === "rejected") throw provided.reason;
  if (laid.status === "rejected") throw laid.reason;
  return provided.value;
}

function shimStdio(terminal: boolean, asked: CreateTask["stdio"]): ShimStdio {
  const { stdin, stdout, stderr, ...rest } = asked;
  return {
    ...rest,
    terminal,
    stdin: stdioUri(stdin),
    stdout: stdioUri(stdout),
    stderr: terminal ? "" : stdioUri(stderr),
  };
}

/** A bare path is a FIFO, as with containerd. */
export const stdioUri = (text: string): string => (text.startsWith("/") ? `fifo://${text}` : text);

/** True when a pause of this container is there to be used again; one that is not wanted is ended. */
async function keptSandbox(request: CreateTask, paths: TaskPaths): Promise<boolean> {
  if (!existsSync(paths.pauseSocket)) return false;
  try {
    if (request.newSandbox) await pauseClient.stop(paths.pauseSocket);
    else await pauseClient.info(paths.pauseSocket);
    return !request.newSandbox;
  } catch (error) {
    if (["unavailable", "not-found"].includes(codeOf(error))) return false;
    throw error;
  }
}

function adopt(task: Task, launched: Launched, host: TaskHost): void {
  task.launched(launched);
  task.link = ShimLink.begin({
    path: task.identity.paths.shimSocket,
    onEvent: (event) => task.onShimEvent(event),
    mayReturn: () => task.hasPause(),
    onReturned: (shimPid) => task.supervisedBy(shimPid),
    onLost: () => void buryTask(host, task).catch((error) => host.warn(messageOf(error))),
  });
}

/** What was launched is killed, also when keel was killed before it could say what it had launched. */
async function undo(host: TaskHost, made: Prepared): Promise<void> {
  const { cgroup } = made.plan;
  if (made.foreign)
    await host.launcher.run([foreignDelete(made.foreign)]).catch((error) => host.warn(messageOf(error)));
  await host.plans.killAll(cgroup).catch((error) => host.warn(messageOf(error)));
  await endSupervisors(made.paths).catch((error) => host.warn(messageOf(error)));
  const unmount = made.file.mountedRoot === "" ? [] : [unmountOperation(made.root)];
  const bundle = operation("removeTree", { path: made.paths.bundle }, { cause: "undo" });
  try {
    await again(() => host.launcher.run(unmount));
    await removeCgroups(host, cgroup);
    await again(() => host.launcher.run([bundle]));
  } catch (error) {
    host.warn(`undo the start of ${made.paths.bundle}: ${messageOf(error)}`);
  }
}
