/** One more process in a running task. */
import { measuredSteps } from "../../keel/result.ts";
import type { ShimStdio } from "../../keel/shim-records.ts";
import { parseObject } from "../../oci/image.ts";
import { HullError } from "../../platform/errors.ts";
import type { Span } from "../../trace/tracer.ts";
import { parseIdentifier } from "../identifier.ts";
import { stdioUri } from "./create-task.ts";
import { execFailure } from "./failure.ts";
import { foreignFailure } from "./foreign/failure.ts";
import { foreignProcess } from "./foreign/process.ts";
import { execStage, foreignOf } from "./foreign/runtime.ts";
import type { CompileRequest, ExecPlan } from "./runtime.ts";
import type { Task, TaskStdio } from "./task.ts";
import type { TaskHost } from "./task-host.ts";

export interface ExecTask {
  readonly execId: string;
  /** OCI process.json. */
  readonly process: Uint8Array;
  readonly stdio: Omit<TaskStdio, "terminal"> &
    Pick<ShimStdio, "rows" | "columns" | "stdinOnce" | "spillDir" | "spillBytes">;
  /** It runs when this resolves, instead of waiting for `startProcess`. */
  readonly startNow: boolean;
  readonly span: Span;
}

/** Throws `already-exists`, `failed-precondition` (paused or not running). Answers its pid. */
export async function execTask(host: TaskHost, task: Task, request: ExecTask): Promise<number> {
  const execId = parseIdentifier(request.execId, "exec id");
  const { state } = task.init;
  if (state.kind !== "running")
    throw new HullError("failed-precondition", `cannot exec in a ${state.kind} container: task ${task.id}`);
  if (task.find(execId)) throw new HullError("already-exists", `id ${execId}: already exists`);
  const { namespace, id } = task;
  const spec = host.stores.containers.get(namespace, id).spec!.value;
  const container = { spec, namespace, id, bundle: task.identity.paths.bundle };
  const plan = await execPlan(host, task, { ...request, container });
  const { stdin, stdout, stderr, ...rest } = request.stdio;
  const stdio = { stdin, stdout, stderr, terminal: plan.terminal };
  task.add({ execId, stdio, state: { kind: "created", pid: 0 } });
  return task.starting(execId, async () => {
    try {
      const shimStdio: ShimStdio = {
        ...rest,
        terminal: plan.terminal,
        stdin: stdioUri(stdin),
        stdout: stdioUri(stdout),
        stderr: plan.terminal ? "" : stdioUri(stderr),
      };
      const asked = { execId, stdio: shimStdio, operations: plan.stage, startNow: request.startNow };
      const reply = await task.shim().call((shim, options) => shim.exec(asked, options));
      host.tracer.steps(request.span.context, () => measuredSteps(plan.stage, reply.steps, undefined));
      task.created(execId, reply.pid);
      host.events.publish(namespace, "/tasks/exec-added", { containerId: id, execId });
      if (request.startNow) markStarted(host, task, execId);
      return reply.pid;
    } catch (error) {
      task.forget(execId);
      throw execFailure(error);
    }
  });
}

interface ExecWork extends ExecTask {
  readonly container: CompileRequest;
}

/** Compiled: our own steps, or the command line of the runtime that made the container. */
async function execPlan(host: TaskHost, task: Task, { execId, process, container }: ExecWork): Promise<ExecPlan> {
  const { paths, file } = task.identity;
  const plan = host.plans.exec({ container, process, cgroup: file.cgroup });
  const runtime = foreignOf(host.roots, task);
  if (runtime === undefined || file.runtime === undefined) return plan;
  const document = parseObject(process, "process.json");
  const ground = { rootfs: file.runtime.rootfs, capabilities: host.plans.capabilities };
  const foreign = await foreignProcess(document, ground);
  const exec = {
    paths,
    terminal: plan.terminal,
    hostPid: globalThis.process.pid,
    execId,
    process: Buffer.from(JSON.stringify(foreign)),
  };
  return { stage: execStage(runtime, exec), terminal: plan.terminal };
}

export interface StartProcess {
  /** "": init. */
  readonly execId: string;
  readonly span: Span;
}

/** Lets a created process run: init or an exec. Answers its pid. */
export function startProcess(host: TaskHost, task: Task, { execId, span }: StartProcess): Promise<number> {
  return task.starting(execId, async () => {
    const { state } = task.process(execId);
    if (state.kind !== "created")
      throw new HullError("failed-precondition", `cannot start a ${state.kind} process: ${execId || task.id}`);
    // From the start byte to the shim's word that the program has taken over.
    using execve = span.child("execve");
    try {
      await task.shim().call((shim, options) => shim.start(execId, options));
    } catch (error) {
      const { paths } = task.identity;
      if (execId !== "" && foreignOf(host.roots, task)) throw await foreignFailure("exec", paths.bundle, error);
      throw error;
    }
    execve.end();
    markStarted(host, task, execId);
    return state.pid;
  });
}

function markStarted(host: TaskHost, task: Task, execId: string): void {
  task.move(execId, { kind: "start", at: Date.now() });
  const { pid } = task.process(execId).state;
  if (execId === "") host.events.publish(task.namespace, "/tasks/start", { containerId: task.id, pid });
  else host.events.publish(task.namespace, "/tasks/exec-started", { containerId: task.id, execId, pid });
}

/** Forgets a stopped exec. Throws `failed-precondition` while it runs. */
export async function deleteExec(host: TaskHost, task: Task, execId: string) {
  const { state } = task.process(execId);
  if (state.kind === "running" || state.kind === "paused") {
    throw new HullError("failed-precondition", `process ${execId} is ${state.kind}: stop it before deleting it`);
  }
  if (state.kind === "created") await task.shim().call((shim, options) => shim.kill({ execId, signal: 9 }, options));
  const stopped = await task.wait(execId, AbortSignal.timeout(5000));
  task.forget(execId);
  // What is left of it is only the shim's record: nobody waits for that.
  task.link
    ?.call((shim, options) => shim.delete(execId, options))
    .catch((error) => host.warn(`forget exec ${execId}: ${String(error)}`));
  return stopped;
}
