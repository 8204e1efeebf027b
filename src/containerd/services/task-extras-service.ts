/** hull.containerd.v1.TaskExtras */
import type { ServiceImpl } from "@connectrpc/connect";
import type { TaskExtras } from "../gen/hull/containerd/v1/tasks_pb.ts";
import { parseIdentifier } from "../identifier.ts";
import { taskPaths } from "../roots.ts";
import { deleteTask, type Stopped } from "../tasks/delete-task.ts";
import { stopSandbox } from "../tasks/end-supervisors.ts";
import { execTask } from "../tasks/exec-task.ts";
import type { ProcessState } from "../tasks/process-state.ts";
import type { Task } from "../tasks/task.ts";
import type { TaskHost } from "../tasks/task-host.ts";
import { toTimestamp } from "../timestamp.ts";
import { callOf, namespaceOf } from "./call.ts";

export function taskExtrasService(host: TaskHost): ServiceImpl<typeof TaskExtras> {
  const { tasks } = host;
  return {
    info: ({ containerId }, context) => infoOf(tasks.get(namespaceOf(context), containerId)),
    list: (_, context) => ({ tasks: tasks.list(namespaceOf(context)).map(infoOf) }),
    delete: async ({ containerId, keepSandbox }, context) => {
      const task = tasks.get(namespaceOf(context), containerId);
      return exitOf(await deleteTask(host, task, { keepSandbox }));
    },
    stopSandbox: async ({ containerId }, context) => {
      const namespace = namespaceOf(context);
      const paths = taskPaths(host.roots, namespace, parseIdentifier(containerId, "container id"));
      await host.cleanups.settled(namespace, containerId);
      await stopSandbox(paths);
      return {};
    },
    provideNetwork: ({ containerId, sockets, failure }, context) => {
      const of = { namespace: namespaceOf(context), id: containerId };
      if (failure === "") host.networkGates.provide(of, sockets);
      else host.networkGates.refuse(of, failure);
      return {};
    },
    exec: async (request, context) => {
      const { containerId, execId, process, stdin, stdout, stderr, startNow } = request;
      const { rows, columns, stdinOnce, spillDir, spillBytes } = request;
      const { span } = callOf(context);
      span.set({ container: containerId });
      const stdio = { stdin, stdout, stderr, rows, columns, stdinOnce, spillDir, spillBytes: Number(spillBytes) };
      const task = tasks.get(namespaceOf(context), containerId);
      return { pid: await execTask(host, task, { execId, process, stdio, startNow, span }) };
    },
    stats: async ({ containerId }, context) => {
      const task = tasks.get(namespaceOf(context), containerId);
      return { json: Buffer.from(JSON.stringify(await host.plans.stats(task.identity.file.cgroup))) };
    },
  };
}

const exitOf = ({ pid, exit }: Stopped) => ({
  pid,
  exitStatus: exit.exitStatus,
  exitedAt: toTimestamp(exit.exitedAt),
  oomKilled: exit.oomKilled,
});

const exitIfStopped = (state: ProcessState) => (state.kind === "stopped" ? { exit: exitOf(state) } : {});

function infoOf(task: Task) {
  const { paths } = task.identity;
  const { state } = task.init;
  const startedAt = "startedAt" in state && state.startedAt > 0 ? { startedAt: toTimestamp(state.startedAt) } : {};
  return {
    containerId: task.id,
    ...paths,
    pid: state.pid,
    shimPid: task.shimPid,
    pausePid: task.hasPause() ? task.pausePid : 0,
    state: state.kind,
    ...startedAt,
    ...exitIfStopped(state),
    execs: task
      .execs()
      .map(({ execId, state: exec }) => ({ execId, pid: exec.pid, state: exec.kind, ...exitIfStopped(exec) })),
  };
}
