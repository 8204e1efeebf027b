/**
 * What containers need of hull-containerd, in their own words: one call each, nothing remembered. `container` is the id, which
 * is also the key of its snapshot. Deadlines: every call has one, a hung shim never hangs its caller.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type ContainerdClient, call } from "../../containerd/client.ts";
import { OptionsSchema } from "../../containerd/gen/containerd/runc/v1/options_pb.ts";
import { Kind } from "../../containerd/gen/containerd/services/snapshots/v1/snapshots_pb.ts";
import { type ExitRecord, type TaskInfo, TaskOptionsSchema } from "../../containerd/gen/hull/containerd/v1/tasks_pb.ts";
import { codeOf, HullError } from "../../platform/errors.ts";
import type { SpanContext } from "../../trace/context.ts";
import { formatEpochNs } from "../time.ts";
import { patient } from "./patient-client.ts";
import type { ObservedTask } from "./reconcile.ts";

/** On container records and snapshots that are this engine's. */
const OURS = "com.docker/engine.bundle.path";
const CALL_MS = 10_000;
const START_MS = 60_000;

export interface StdioWish {
  readonly terminal: boolean;
  readonly stdin: boolean;
  readonly stdinOnce: boolean;
  readonly rows: number;
  readonly columns: number;
}

export interface TaskStart extends StdioWish {
  /** json-file; undefined for the driver none. */
  readonly log: { readonly path: string; readonly maxBytes: number; readonly maxFiles: number } | undefined;
  readonly spillDirectory: string;
}

/** A socket that pause opens in the network namespace. */
export interface HeldSocket {
  readonly family: number;
  readonly type: number;
  readonly address: string;
  readonly name: string;
}

export interface NewContainer {
  readonly container: string;
  readonly imageName: string;
  readonly snapshotter: string;
  /** Chain id of the image. */
  readonly parent: string;
  readonly spec: Uint8Array;
  /** Of the engine's own record. */
  readonly directory: string;
  /** Program of another OCI runtime; absent: our own. */
  readonly runtime?: string | undefined;
}

export interface NewExec extends StdioWish {
  readonly container: string;
  readonly execId: string;
  /** OCI process. */
  readonly process: object;
  readonly attached: boolean;
  readonly spillDirectory: string;
}

const SPEC_TYPE = "types.containerd.io/opencontainers/runtime-spec/1/Spec";
const RESOURCES_TYPE = "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources";
export const SPILL_BYTES = 1024 ** 3;

/** As dockerd names another runtime to containerd. */
function runtimeOf(binaryName: string | undefined) {
  const name = "io.containerd.runc.v2";
  if (binaryName === undefined) return { name };
  const value = toBinary(OptionsSchema, create(OptionsSchema, { binaryName }));
  return { name, options: { typeUrl: OptionsSchema.typeName, value } };
}

export class Tasks {
  private readonly client: ContainerdClient;

  constructor(private readonly impatient: ContainerdClient) {
    this.client = patient(impatient);
  }

  /**
   * The container's record and its writable snapshot; undone when either fails. Returns the snapshot's paths. What a killed engine does
   * not live to undo or to record itself is in `owned` for its next start.
   */
  async createContainer(
    wanted: NewContainer,
    parent?: SpanContext,
  ): Promise<{ driver: string; graph: Record<string, string> }> {
    const options = call({ parent, timeoutMs: START_MS });
    const { container: id, snapshotter } = wanted;
    const labels = { [OURS]: wanted.directory };
    try {
      // Both have ended before a failure is told: what is undone is all there.
      const both = await Promise.allSettled([
        this.client.containers.create(
          {
            container: {
              id,
              labels,
              image: wanted.imageName,
              runtime: runtimeOf(wanted.runtime),
              spec: { typeUrl: SPEC_TYPE, value: wanted.spec },
              snapshotter,
              snapshotKey: id,
            },
          },
          options,
        ),
        this.client.rootfs.make({ snapshotter, key: id, parent: wanted.parent, labels }, options),
      ]);
      const [record, rootfs] = both;
      if (record.status === "rejected") throw record.reason;
      if (rootfs.status === "rejected") throw rootfs.reason;
      const { driver, data } = rootfs.value;
      return { driver, graph: { ...data } };
    } catch (error) {
      await this.removeContainer(id, snapshotter).catch(() => undefined); // The first failure is the one to report.
      throw error;
    }
  }

  async updateSpec(container: string, spec: Uint8Array, parent?: SpanContext): Promise<void> {
    await this.client.containers.update(
      { container: { id: container, spec: { typeUrl: SPEC_TYPE, value: spec } }, updateMask: { paths: ["spec"] } },
      call({ parent, timeoutMs: CALL_MS }),
    );
  }

  /** Containers of which there is a record or a writable snapshot made by `createContainer`: their directories by id. */
  async owned(snapshotter: string): Promise<ReadonlyMap<string, string>> {
    const filters = [`labels."${OURS}"`];
    const owned = new Map<string, string>();
    const { containers } = await this.client.containers.list({ filters }, call({ timeoutMs: CALL_MS }));
    for (const { id, labels } of containers) owned.set(id, labels[OURS]!);
    for await (const { info } of this.impatient.snapshots.list({ snapshotter, filters }, call({ timeoutMs: CALL_MS })))
      for (const { name, kind, labels } of info) if (kind === Kind.ACTIVE) owned.set(name, labels[OURS]!);
    return owned;
  }

  /** Absent ones are fine. Throws failed-precondition while there is a task: then the snapshot is still there too. */
  async removeContainer(container: string, snapshotter: string, parent?: SpanContext): Promise<void> {
    const options = call({ parent, timeoutMs: START_MS });
    await fineWhenAbsent(this.client.containers.delete({ id: container }, options));
    await fineWhenAbsent(this.client.snapshots.remove({ snapshotter, key: container }, options));
  }

  /**
   * Everything up to the start byte: the process exists and waits. Goes on from half way when the network is told to be there. Returns the
   * process id.
   */
  async create(container: string, start: TaskStart, parent?: SpanContext): Promise<number> {
    const options = create(TaskOptionsSchema, {
      rows: start.rows,
      columns: start.columns,
      stdinOnce: start.stdinOnce,
      spillDir: start.spillDirectory,
      spillBytes: BigInt(SPILL_BYTES),
      networkPending: true,
      ...(start.log && {
        log: { path: start.log.path, maxBytes: BigInt(start.log.maxBytes), maxFiles: start.log.maxFiles },
      }),
    });
    const request = {
      containerId: container,
      stdin: start.stdin ? "pipe:" : "",
      stdout: "pipe:",
      stderr: start.terminal ? "" : "pipe:",
      terminal: start.terminal,
      options: { typeUrl: TaskOptionsSchema.typeName, value: toBinary(TaskOptionsSchema, options) },
    };
    try {
      return (await this.client.tasks.create(request, call({ parent, timeoutMs: START_MS }))).pid;
    } catch (error) {
      if (codeOf(error) !== "already-exists") throw error;
      // An ended one, found again by a hull-containerd that was killed while it cleaned up after it.
      await this.remove(container, true, parent);
      return (await this.client.tasks.create(request, call({ parent, timeoutMs: START_MS }))).pid;
    }
  }

  /** To a `create` under way. False when none waits: it has failed, or is not there yet. */
  async provideNetwork(container: string, sockets: readonly HeldSocket[]): Promise<boolean> {
    const told = { containerId: container, sockets: [...sockets] };
    const heard = this.client.taskExtras.provideNetwork(told, call({ timeoutMs: CALL_MS }));
    return (await fineWhenAbsent(heard)) !== undefined;
  }

  /** There will be none: a `create` under way fails and undoes what it made. */
  async refuseNetwork(container: string, failure: string): Promise<void> {
    const told = { containerId: container, failure };
    await fineWhenAbsent(this.client.taskExtras.provideNetwork(told, call({ timeoutMs: CALL_MS })));
  }

  async start(container: string, parent?: SpanContext): Promise<void> {
    await this.#startProcess(container, "", parent);
  }

  async #startProcess(containerId: string, execId: string, parent: SpanContext | undefined): Promise<number> {
    const start = async () =>
      (await this.client.tasks.start({ containerId, execId }, call({ parent, timeoutMs: START_MS }))).pid;
    try {
      return await start();
    } catch (error) {
      if (!(error instanceof HullError && error.code === "unavailable")) throw error;
      // Cut off on its way: it may have been started. Nobody else starts it, so that the second time tells.
      return start().catch(async (again: unknown) => {
        if (!(again instanceof HullError && again.code === "failed-precondition")) throw again;
        const info = await this.info(containerId);
        return (execId === "" ? info : info?.execs.find((one) => one.execId === execId))?.pid ?? 0;
      });
    }
  }

  /** Throws not-found when it has ended. */
  async kill(container: string, signal: number, execId = ""): Promise<void> {
    await this.client.tasks.kill({ containerId: container, execId, signal }, call({ timeoutMs: CALL_MS }));
  }

  /** Forgets an ended task. An absent one is fine: undefined. */
  async remove(container: string, keepSandbox: boolean, parent?: SpanContext): Promise<ExitRecord | undefined> {
    return fineWhenAbsent(
      this.client.taskExtras.delete({ containerId: container, keepSandbox }, call({ parent, timeoutMs: START_MS })),
    );
  }

  async stopSandbox(container: string): Promise<void> {
    await fineWhenAbsent(this.client.taskExtras.stopSandbox({ containerId: container }, call({ timeoutMs: CALL_MS })));
  }

  async pause(container: string): Promise<void> {
    await this.client.tasks.pause({ containerId: container }, call({ timeoutMs: CALL_MS }));
  }

  async resume(container: string): Promise<void> {
    await this.client.tasks.resume({ containerId: container }, call({ timeoutMs: CALL_MS }));
  }

  /** `resources`: OCI linux.resources. */
  async update(container: string, resources: object): Promise<void> {
    const value = Buffer.from(JSON.stringify(resources));
    await this.client.tasks.update(
      { containerId: container, resources: { typeUrl: RESOURCES_TYPE, value } },
      call({ timeoutMs: CALL_MS }),
    );
  }

  /** Creates an exec that waits for its start. */
  async exec(exec: NewExec, parent?: SpanContext): Promise<void> {
    try {
      await this.#exec(exec, parent);
    } catch (error) {
      if (!(error instanceof HullError && error.code === "unavailable")) throw error;
      // Cut off on its way: it may have been made. Its id is its own, so that the second time tells.
      await this.#exec(exec, parent).catch((again: unknown) => {
        if (!(again instanceof HullError && again.code === "already-exists")) throw again;
      });
    }
  }

  async #exec(exec: NewExec, parent: SpanContext | undefined): Promise<void> {
    await this.client.taskExtras.exec(
      {
        containerId: exec.container,
        execId: exec.execId,
        process: Buffer.from(JSON.stringify(exec.process)),
        stdin: exec.stdin && exec.attached ? "pipe:" : "",
        stdout: exec.attached ? "pipe:" : "",
        stderr: exec.attached && !exec.terminal ? "pipe:" : "",
        rows: exec.rows,
        columns: exec.columns,
        stdinOnce: exec.stdinOnce,
        spillDir: exec.spillDirectory,
        spillBytes: BigInt(SPILL_BYTES),
      },
      call({ parent, timeoutMs: START_MS }),
    );
  }

  async startExec(container: string, execId: string, parent?: SpanContext): Promise<number> {
    return this.#startProcess(container, execId, parent);
  }

  /** An absent one is fine. */
  async removeExec(container: string, execId: string): Promise<void> {
    await fineWhenAbsent(
      this.client.tasks.deleteProcess({ containerId: container, execId }, call({ timeoutMs: CALL_MS })),
    );
  }

  /** Process ids in the container, of the host's numbering. */
  async pids(container: string): Promise<number[]> {
    const { processes } = await this.client.tasks.listPids({ containerId: container }, call({ timeoutMs: CALL_MS }));
    return processes.map((process) => process.pid);
  }

  /** Figures of its cgroup: the Stats of src/runc as JSON. */
  async stats(container: string, signal?: AbortSignal): Promise<unknown> {
    const { json } = await this.client.taskExtras.stats(
      { containerId: container },
      call({ signal, timeoutMs: CALL_MS }),
    );
    return JSON.parse(Buffer.from(json).toString());
  }

  async info(container: string): Promise<TaskInfo | undefined> {
    return fineWhenAbsent(this.client.taskExtras.info({ containerId: container }, call({ timeoutMs: CALL_MS })));
  }

  /** Every task there is, by container. */
  async list(): Promise<Map<string, TaskInfo>> {
    const { tasks } = await this.client.taskExtras.list({}, call({ timeoutMs: CALL_MS }));
    return new Map(tasks.map((task) => [task.containerId, task]));
  }

  /** Mounts the root file system of a container that does not run, until disposed. `path` is its root. */
  async mounted(
    container: string,
    snapshotter: string,
    holder: string,
  ): Promise<AsyncDisposable & { readonly path: string }> {
    const request = { snapshotter, key: container, holder };
    const { path } = await this.client.rootfs.mount(request, call({ timeoutMs: START_MS }));
    return {
      path,
      [Symbol.asyncDispose]: async () => {
        await fineWhenAbsent(this.client.rootfs.unmount(request, call({ timeoutMs: START_MS })));
      },
    };
  }

  /** "A", "C" or "D" and a path, sorted. */
  async changes(
    container: string,
    snapshotter: string,
    signal: AbortSignal,
  ): Promise<readonly { kind: string; path: string }[]> {
    const { changes } = await this.client.rootfs.changes({ snapshotter, key: container }, call({ signal }));
    return changes;
  }

  /** Bytes on disk of snapshots by key; all of them without keys. */
  async usage(snapshotter: string, keys: readonly string[], signal: AbortSignal): Promise<Map<string, number>> {
    const { snapshots } = await this.client.rootfs.usage({ snapshotter, keys: [...keys] }, call({ signal }));
    return new Map(snapshots.map((snapshot) => [snapshot.key, Number(snapshot.bytes)]));
  }
}

async function fineWhenAbsent<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "not-found") return undefined;
    throw error;
  }
}

/** RFC 3339 of a timestamp; now when there is none. */
export function timeOf(timestamp: Timestamp | undefined): string {
  const { seconds, nanos } = timestamp ?? timestampFromDate(new Date());
  return formatEpochNs(seconds * 1_000_000_000n + BigInt(nanos));
}

export function observed(task: TaskInfo | undefined): ObservedTask {
  if (!task) return { kind: "none" };
  if (task.state === "stopped" || task.exit)
    return {
      kind: "stopped",
      exitCode: task.exit?.exitStatus ?? 255,
      exitedAt: timeOf(task.exit?.exitedAt),
      oomKilled: task.exit?.oomKilled ?? false,
    };
  if (task.state === "created") return { kind: "created", pid: task.pid };
  return { kind: task.state === "paused" ? "paused" : "running", pid: task.pid, startedAt: timeOf(task.startedAt) };
}
