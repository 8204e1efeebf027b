/** containerd.services.tasks.v1 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { HullError } from "../../platform/errors.ts";
import { typeNameOf } from "../events.ts";
import { ProcessDetailsSchema } from "../gen/containerd/runc/v1/options_pb.ts";
import type { CreateTaskRequest, Tasks } from "../gen/containerd/services/tasks/v1/tasks_pb.ts";
import { Status } from "../gen/containerd/types/task/task_pb.ts";
import { type TaskOptions, TaskOptionsSchema } from "../gen/hull/containerd/v1/tasks_pb.ts";
import { killProcess, pauseTask, resumeTask, updateTask } from "../tasks/control-task.ts";
import { createTask } from "../tasks/create-task.ts";
import { deleteTask, type Stopped } from "../tasks/delete-task.ts";
import { deleteExec, execTask, startProcess } from "../tasks/exec-task.ts";
import type { ProcessState } from "../tasks/process-state.ts";
import type { Task, TaskProcess } from "../tasks/task.ts";
import type { TaskHost } from "../tasks/task-host.ts";
import { toTimestamp } from "../timestamp.ts";
import { callOf, namespaceOf } from "./call.ts";
import { taskMetrics } from "./metrics.ts";

export const tasksService = (host: TaskHost): ServiceImpl<typeof Tasks> => ({
  ...lifecycle(host),
  ...processes(host),
  ...resources(host),
});

/** From create to delete of the task itself. */
const lifecycle = (
  host: TaskHost,
): Pick<ServiceImpl<typeof Tasks>, "create" | "start" | "delete" | "kill" | "wait"> => ({
  create: async (request, context) => {
    const { span } = callOf(context);
    span.set({ container: request.containerId });
    const namespace = namespaceOf(context);
    const { networkPending, ...asked } = fromWire(request);
    using gate = networkPending ? host.networkGates.open({ namespace, id: asked.id }, context.signal) : undefined;
    const task = await createTask(host, { ...asked, namespace, network: gate?.passed, span });
    return { containerId: task.id, pid: task.init.state.pid };
  },
  start: async ({ containerId, execId }, context) => {
    const { span } = callOf(context);
    span.set({ container: containerId });
    return { pid: await startProcess(host, host.tasks.get(namespaceOf(context), containerId), { execId, span }) };
  },
  delete: async ({ containerId }, context) => {
    const task = host.tasks.get(namespaceOf(context), containerId);
    return { id: task.id, ...exitOf(await deleteTask(host, task, { keepSandbox: false })) };
  },
  kill: async ({ containerId, execId, signal, all }, context) => {
    await killProcess(host, host.tasks.get(namespaceOf(context), containerId), { execId, signal, all });
    return {};
  },
  wait: async ({ containerId, execId }, context) => {
    const task = host.tasks.get(namespaceOf(context), containerId);
    const { exitStatus, exitedAt } = exitOf(await task.wait(execId, context.signal));
    return { exitStatus, exitedAt };
  },
});

/** Init and execs, and their standard streams. */
const processes = (
  host: TaskHost,
): Pick<
  ServiceImpl<typeof Tasks>,
  "exec" | "deleteProcess" | "resizePty" | "closeIO" | "get" | "list" | "listPids"
> => ({
  exec: async (request, context) => {
    const { containerId, execId, stdin, stdout, stderr, spec } = request;
    const { span } = callOf(context);
    span.set({ container: containerId });
    const process = spec?.value ?? new Uint8Array();
    const task = host.tasks.get(namespaceOf(context), containerId);
    await execTask(host, task, { execId, process, stdio: { stdin, stdout, stderr }, startNow: false, span });
    return {};
  },
  deleteProcess: async ({ containerId, execId }, context) => {
    const task = host.tasks.get(namespaceOf(context), containerId);
    if (execId === "") throw new HullError("invalid-argument", "exec_id must be set");
    return { id: execId, ...exitOf(await deleteExec(host, task, execId)) };
  },
  resizePty: async ({ containerId, execId, width, height }, context) => {
    const task = host.tasks.get(namespaceOf(context), containerId);
    await task.shim().call((shim, options) => shim.resize({ execId, rows: height, columns: width }, options));
    return {};
  },
  closeIO: async ({ containerId, execId, stdin }, context) => {
    const task = host.tasks.get(namespaceOf(context), containerId);
    if (stdin) await task.shim().call((shim, options) => shim.closeStdin(execId, options));
    return {};
  },
  get: ({ containerId, execId }, context) => {
    const task = host.tasks.get(namespaceOf(context), containerId);
    return { process: toWire(task, task.process(execId)) };
  },
  list: (_, context) => ({ tasks: host.tasks.list(namespaceOf(context)).map((task) => toWire(task, task.init)) }),
  listPids: async ({ containerId }, context) => ({
    processes: await listPids(host, host.tasks.get(namespaceOf(context), containerId)),
  }),
});

/** Freezing, limits, figures. */
const resources = (
  host: TaskHost,
): Pick<ServiceImpl<typeof Tasks>, "pause" | "resume" | "update" | "metrics" | "checkpoint"> => ({
  pause: async ({ containerId }, context) => {
    await pauseTask(host, host.tasks.get(namespaceOf(context), containerId));
    return {};
  },
  resume: async ({ containerId }, context) => {
    await resumeTask(host, host.tasks.get(namespaceOf(context), containerId));
    return {};
  },
  update: async ({ containerId, resources }, context) => {
    const task = host.tasks.get(namespaceOf(context), containerId);
    if (resources) await updateTask(host, task, resources.value);
    return {};
  },
  metrics: async ({ filters }, context) => ({ metrics: await taskMetrics(host, namespaceOf(context), filters) }),
  checkpoint: () => {
    throw new HullError("unimplemented", "checkpoints are not supported");
  },
});

const exitOf = ({ pid, exit }: Stopped) => ({ pid, exitStatus: exit.exitStatus, exitedAt: toTimestamp(exit.exitedAt) });

const statuses: Readonly<Record<ProcessState["kind"], Status>> = {
  created: Status.CREATED,
  running: Status.RUNNING,
  paused: Status.PAUSED,
  stopped: Status.STOPPED,
};

function toWire(task: Task, { execId, stdio, state }: TaskProcess) {
  const { stdin, stdout, stderr, terminal } = stdio;
  const id = execId === "" ? task.id : execId;
  const process = {
    containerId: execId === "" ? "" : task.id,
    id,
    pid: state.pid,
    status: statuses[state.kind],
    stdin,
    stdout,
    stderr,
    terminal,
  };
  if (state.kind !== "stopped") return process;
  return { ...process, exitStatus: state.exit.exitStatus, exitedAt: toTimestamp(state.exit.exitedAt) };
}

function fromWire(request: CreateTaskRequest) {
  if (request.checkpoint !== undefined) throw new HullError("unimplemented", "restoring checkpoints is not supported");
  const options = taskOptions(request.options);
  const { stdin, stdout, stderr, terminal } = request;
  const { rows, columns, stdinOnce, spillDir } = options;
  const log = options.log && {
    path: options.log.path,
    maxBytes: Number(options.log.maxBytes),
    maxFiles: options.log.maxFiles,
  };
  return {
    id: request.containerId,
    rootfs: request.rootfs.map((mount) => ({ type: mount.type, source: mount.source, options: mount.options })),
    stdio: {
      stdin,
      stdout,
      stderr,
      terminal,
      rows,
      columns,
      stdinOnce,
      spillDir,
      spillBytes: Number(options.spillBytes),
    },
    log,
    sockets: options.sockets,
    newSandbox: options.newSandbox,
    networkPending: options.networkPending,
  };
}

/** Ours; options written for the runc shim are taken as none (what they ask for is how it is here). */
function taskOptions(any: Any | undefined): TaskOptions {
  if (any === undefined || typeNameOf(any) !== TaskOptionsSchema.typeName) return create(TaskOptionsSchema);
  return fromBinary(TaskOptionsSchema, any.value);
}

/** Pids of the cgroup; those of execs are marked as containerd does. */
async function listPids(host: TaskHost, task: Task) {
  const pids = await host.plans.pids(task.identity.file.cgroup);
  return pids.map((pid) => {
    const exec = task.execs().find((process) => process.state.pid === pid);
    if (exec === undefined) return { pid };
    const value = toBinary(ProcessDetailsSchema, create(ProcessDetailsSchema, { execId: exec.execId }));
    return { pid, info: { typeUrl: ProcessDetailsSchema.typeName, value } };
  });
}
