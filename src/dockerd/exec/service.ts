/**
 * Execs of all containers. Lifecycle of one: create -> start (attached or detached) -> ended -> forgotten five minutes later.
 */
import { randomBytes } from "node:crypto";
import type { ExecInfo } from "../../containerd/gen/hull/containerd/v1/tasks_pb.ts";
import { HullError } from "../../platform/errors.ts";
import type { SpanContext } from "../../trace/context.ts";
import type { Container } from "../containers/container.ts";
import type { ContainerDeps } from "../containers/deps.ts";
import { UNKNOWN_EXIT } from "../containers/reconcile.ts";
import { capabilitiesOf } from "../containers/spec/capabilities.ts";
import { environmentOf, rlimitsOf } from "../containers/spec/process.ts";
import { parseSecurityOptions } from "../containers/spec/security.ts";
import { capabilitySets, userOf } from "../containers/spec/spec.ts";
import { bridge } from "../containers/streams/bridge.ts";
import { parseDetachKeys } from "../containers/streams/detach-keys.ts";
import { frame } from "../containers/streams/multiplex.ts";
import type { RawConnection } from "../http/response.ts";
import { Exec, type ExecSettings } from "./exec.ts";
import { execFailure } from "./exec-failure.ts";

const KEPT_MS = 5 * 60_000;
/** How long the end of an exec may take to become known after its output ended. */
const END_MS = 2000;

export interface AttachedStart {
  readonly client: RawConnection;
  readonly parent: SpanContext;
}

export class ExecService {
  readonly #execs = new Map<string, Exec>();

  constructor(private readonly deps: ContainerDeps) {}

  /** Throws conflict when the container does not run, invalid-argument without a command. */
  create(container: Container, settings: ExecSettings): Exec {
    if (settings.command.length === 0) throw new HullError("invalid-argument", "No exec command specified");
    refuse(container);
    parseDetachKeys(settings.detachKeys);
    const exec = new Exec(randomBytes(32).toString("hex"), container.id, settings);
    this.#execs.set(exec.id, exec);
    container.execIds.add(exec.id);
    this.deps.events.container(container.record, `exec_create: ${settings.command.join(" ")}`, { execID: exec.id });
    return exec;
  }

  get(id: string): Exec {
    const exec = this.#execs.get(id);
    if (!exec) throw new HullError("not-found", `No such exec instance: ${id}`);
    return exec;
  }

  /** Checks that it may be started and takes it: from here on a second start is refused. */
  claim(exec: Exec): Container {
    const container = this.deps.registry.byId(exec.containerId);
    if (!container) throw new HullError("not-found", `No such container: ${exec.containerId}`);
    if (exec.claimed)
      throw new HullError(
        "conflict",
        exec.state.kind === "ended" ? `exec command ${exec.id} has already run` : `exec ${exec.id} is already running`,
      );
    refuse(container);
    exec.claimed = true;
    return container;
  }

  /** Starts it without streams. Throws the failure in Docker's words. */
  async startDetached(exec: Exec, container: Container, parent: SpanContext): Promise<void> {
    try {
      await this.#make(exec, container, { attached: false, parent });
      await this.#run(exec, container, parent);
    } catch (error) {
      throw this.#failed(exec, container, error);
    }
  }

  /** Starts it with the client's connection as its streams; resolves when they have ended. Failures are written into the stream. */
  async startAttached(exec: Exec, container: Container, { client, parent }: AttachedStart): Promise<void> {
    const { settings } = exec;
    try {
      await this.#make(exec, container, { attached: true, parent });
      const shim = await this.deps.shims.attach(container.id, {
        execId: exec.id,
        stdin: settings.attachStdin,
        stdout: settings.attachStdout,
        stderr: settings.attachStderr,
        raw: settings.tty,
      });
      await this.#run(exec, container, parent).catch((error: unknown) => {
        shim.destroy();
        throw error;
      });
      const detachKeys = settings.tty ? parseDetachKeys(settings.detachKeys) : undefined;
      const end = await bridge(client, shim, {
        stdin: settings.attachStdin,
        detachKeys,
        beforeEnd: () => soon(exec.ended),
      });
      if (end === "detached") this.deps.events.container(container.record, "exec_detach", { execID: exec.id });
    } catch (error) {
      const text = Buffer.from(`${this.#failed(exec, container, error).message}\r\n`);
      client.socket.end(settings.tty ? text : frame("stdout", text));
    }
  }

  /** Runs a command to its end and gives its output; for health checks. Ends it when `signal` aborts. */
  async output(
    container: Container,
    command: readonly string[],
    limits: { readonly signal: AbortSignal; readonly maxBytes: number },
  ) {
    const exec = this.create(container, { ...probeSettings, command });
    exec.claimed = true;
    const kill = () => void this.deps.tasks.kill(container.id, 9, exec.id).catch(() => undefined); // It has just ended.
    try {
      await this.#make(exec, container, { attached: true, parent: undefined });
      const shim = await this.deps.shims.attach(container.id, {
        execId: exec.id,
        stdin: false,
        stdout: true,
        stderr: true,
        raw: true,
      });
      limits.signal.addEventListener("abort", kill, { once: true });
      await this.#run(exec, container, undefined);
      const output = await collect(shim, limits.maxBytes);
      await soon(exec.ended);
      limits.signal.throwIfAborted();
      return { exitCode: exec.state.kind === "ended" ? exec.state.exitCode : -1, output };
    } catch (error) {
      throw limits.signal.aborted ? error : this.#failed(exec, container, error);
    } finally {
      limits.signal.removeEventListener("abort", kill);
    }
  }

  /** Told by hull-containerd. */
  ended(containerId: string, execId: string, exitCode: number): void {
    const exec = this.#execs.get(execId);
    const container = this.deps.registry.byId(containerId);
    if (!exec?.end(exitCode, exec.state.kind === "running" ? exec.state.pid : 0)) return;
    if (container)
      this.deps.events.container(container.record, "exec_die", { execID: execId, exitCode: String(exitCode) });
    this.#forgetLater(exec);
    this.deps.tasks.removeExec(containerId, execId).catch((error: unknown) => {
      this.deps.log.warn("remove an ended exec", { container: containerId, exec: execId, error: String(error) });
    });
  }

  /** The container ended: with it every process in it. */
  containerEnded(container: Container): void {
    for (const id of container.execIds) {
      const exec = this.#execs.get(id);
      if (!exec || exec.state.kind === "ended") continue;
      exec.end(137, 0);
      this.#forgetLater(exec);
    }
  }

  running(container: Container): readonly string[] {
    return [...container.execIds].filter((id) => this.#execs.get(id)?.state.kind === "running");
  }

  agree(container: Container, running: readonly string[], observed: readonly ExecInfo[]): void {
    for (const id of running) {
      const seen = observed.find(({ execId }) => execId === id);
      if (!seen) this.ended(container.id, id, UNKNOWN_EXIT);
      else if (seen.exit) this.ended(container.id, id, seen.exit.exitStatus);
    }
  }

  async #make(
    exec: Exec,
    container: Container,
    how: { readonly attached: boolean; readonly parent: SpanContext | undefined },
  ): Promise<void> {
    const { settings } = exec;
    await this.deps.tasks.exec(
      {
        container: container.id,
        execId: exec.id,
        process: processOf(this.deps, container, settings),
        attached: how.attached,
        terminal: settings.tty,
        stdin: settings.attachStdin,
        stdinOnce: true,
        rows: settings.consoleSize[0],
        columns: settings.consoleSize[1],
        spillDirectory: container.record.directory,
      },
      how.parent,
    );
  }

  async #run(exec: Exec, container: Container, parent: SpanContext | undefined): Promise<void> {
    this.deps.events.container(container.record, `exec_start: ${exec.settings.command.join(" ")}`, { execID: exec.id });
    const pid = await this.deps.tasks.startExec(container.id, exec.id, parent);
    exec.started(pid);
  }

  #failed(exec: Exec, container: Container, error: unknown): HullError {
    const failure = execFailure(error);
    if (exec.end(failure.exitCode, 0)) {
      this.deps.events.container(container.record, "exec_die", { execID: exec.id, exitCode: String(failure.exitCode) });
      this.#forgetLater(exec);
    }
    void this.deps.tasks.removeExec(container.id, exec.id).catch(() => undefined); // Mostly it was never made.
    return new HullError("internal", failure.message, { cause: error, facts: { httpStatus: failure.status } });
  }

  /** At once its container shows it no more. */
  #forgetLater(exec: Exec): void {
    this.deps.registry.byId(exec.containerId)?.execIds.delete(exec.id);
    setTimeout(() => this.#execs.delete(exec.id), KEPT_MS).unref();
  }
}

const probeSettings = {
  attachStdin: false,
  attachStdout: true,
  attachStderr: true,
  tty: false,
  detachKeys: "",
  env: [],
  workingDir: "",
  user: "",
  privileged: false,
  consoleSize: [0, 0] as const,
};

function refuse({ record: { state, id } }: Container): void {
  if (state.kind === "paused")
    throw new HullError("conflict", `Container ${id} is paused, unpause the container before exec`);
  if (state.kind === "restarting")
    throw new HullError("conflict", `Container ${id} is restarting, wait until the container is running`);
  if (state.kind !== "running") throw new HullError("conflict", `container ${id} is not running`);
}

function processOf(deps: ContainerDeps, { record }: Container, settings: ExecSettings): object {
  const { hostConfig: host, config } = record;
  const user = settings.user || config.User;
  const security = parseSecurityOptions(host.SecurityOpt ?? []);
  const names = capabilitiesOf(settings.privileged ? { ...host, Privileged: true } : host);
  const tty = { ...record, config: { ...config, Tty: settings.tty } };
  const [height, width] = settings.consoleSize;
  return {
    terminal: settings.tty,
    ...(height > 0 && width > 0 && { consoleSize: { height, width } }),
    user: userOf(user, settings.user === "" ? host.GroupAdd : null),
    args: settings.command,
    env: environmentOf(tty, settings.env),
    cwd: settings.workingDir || config.WorkingDir || "/",
    capabilities: capabilitySets(names, user),
    rlimits: rlimitsOf(record, deps.config.defaultUlimits),
    noNewPrivileges: security.noNewPrivileges ?? deps.config.noNewPrivileges,
    oomScoreAdj: host.OomScoreAdj,
  };
}

/** When it happens, or after a while all the same. */
function soon(work: Promise<void>): Promise<void> {
  return Promise.race([work, new Promise<void>((resolve) => setTimeout(resolve, END_MS).unref())]);
}

async function collect(stream: AsyncIterable<Buffer>, maxBytes: number): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of stream) {
    if (size < maxBytes) parts.push(part);
    size += part.length;
  }
  return Buffer.concat(parts).subarray(0, maxBytes).toString("utf8");
}
