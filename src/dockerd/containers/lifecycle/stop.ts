/**
 * stop, kill and restart. Signals go out beside the container's queue: the end they cause is recorded in it.
 */
import { HullError } from "../../../platform/errors.ts";
import type { SpanContext } from "../../../trace/context.ts";
import type { Container } from "../container.ts";
import type { ContainerDeps } from "../deps.ts";
import { parseSignal, SIGKILL, SIGTERM } from "../signals.ts";
import { isActive } from "../state.ts";
import { startContainer } from "./start.ts";

const DEFAULT_TIMEOUT_SECONDS = 10;
/** How long a killed process may take to go (it may be in an uninterruptible call). */
const KILL_MS = 10_000;

export interface StopOptions {
  /** -1 waits for ever; undefined is the container's own. */
  readonly timeoutSeconds: number | undefined;
  /** Empty: the container's own. */
  readonly signal: string;
  readonly abort: AbortSignal;
}

export async function stopContainer(deps: ContainerDeps, container: Container, options: StopOptions): Promise<void> {
  const signal = stopSignalOf(container, options.signal);
  if (!isActive(container.state) && container.state.kind !== "restarting")
    throw new HullError("not-modified", "container already stopped");
  await wishStopped(deps, container);
  if (isActive(container.state)) await endProcess(deps, container, { ...options, signal });
  void container.queue.run(async () => deps.events.container(container.record, "stop"));
}

/**
 * The restart policy stays out from here on, also of a next engine: recorded before any signal. A start by the policy that is under way
 * comes to its end first; one that is pending is given up.
 */
async function wishStopped(deps: ContainerDeps, container: Container): Promise<void> {
  container.stopRequested = true;
  await container.queue.run(async () => {
    container.stopRequested = true; // The start that was under way began a new run.
    if (container.state.kind !== "removing") await container.settle({ manuallyStopped: true });
    if (container.state.kind === "restarting") await giveUpRestart(deps, container);
  });
}

const stopSignalOf = (container: Container, asked: string): number => {
  const text = asked || container.record.config.StopSignal;
  return text ? parseSignal(text) : SIGTERM;
};

/** A restart by the policy that shall not be. Runs in the queue. */
export async function giveUpRestart(deps: ContainerDeps, container: Container): Promise<void> {
  container.restartTimer?.cancel();
  await container.move({ kind: "restartCancelled" });
  container.tellEnded();
  await deps.tasks.stopSandbox(container.id);
  await deps.sandboxes.release(container.record);
}

interface EndOptions {
  readonly signal: number;
  readonly timeoutSeconds: number | undefined;
  readonly abort: AbortSignal;
}

/** The signal, the time to obey it, SIGKILL. Resolves when the end is recorded. */
async function endProcess(
  deps: ContainerDeps,
  container: Container,
  { signal, timeoutSeconds, abort }: EndOptions,
): Promise<void> {
  const seconds = timeoutSeconds ?? container.record.config.StopTimeout ?? DEFAULT_TIMEOUT_SECONDS;
  const ended = container.wait("next-exit", abort);
  ended.catch(() => undefined); // Aborted while a signal is on its way: the calls below report it.
  await sendSignal(deps, container, signal);
  await thaw(deps, container, signal);
  const obeyed = signal === SIGKILL || (await within(ended, seconds < 0 ? undefined : seconds * 1000));
  if (!obeyed) await sendSignal(deps, container, SIGKILL);
  if (obeyed && signal !== SIGKILL) return;
  if (!(await within(ended, KILL_MS)))
    throw new HullError(
      "internal",
      `tried to kill container, but did not receive an exit event: container ${container.id} PID ${pidOf(container)} is zombie and can not be killed`,
    );
}

const pidOf = (container: Container): number => (isActive(container.state) ? container.state.pid : 0);

/** True when `work` was done in time; rejects as `work` does. Without a limit it waits. */
async function within(work: Promise<unknown>, limitMs: number | undefined): Promise<boolean> {
  if (limitMs === undefined) {
    await work;
    return true;
  }
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), limitMs);
  });
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The event first: the end it causes comes after it. A process that has just gone is fine: its end is on the way. */
async function sendSignal(deps: ContainerDeps, container: Container, signal: number): Promise<void> {
  deps.events.container(container.record, "kill", { signal: String(signal) });
  try {
    await deps.tasks.kill(container.id, signal);
  } catch (error) {
    if (!(error instanceof HullError && error.code === "not-found")) throw error;
  }
}

/** A frozen process takes no signal; SIGKILL thaws by itself. One that has just ended needs none: its end is on the way. */
async function thaw(deps: ContainerDeps, container: Container, signal: number): Promise<void> {
  if (signal === SIGKILL || container.state.kind !== "paused") return;
  try {
    await deps.tasks.resume(container.id);
  } catch (error) {
    if (!(error instanceof HullError && ["failed-precondition", "not-found"].includes(error.code))) throw error;
  }
}

export interface KillOptions {
  /** Empty: SIGKILL. */
  readonly signal: string;
  readonly abort: AbortSignal;
}

export async function killContainer(deps: ContainerDeps, container: Container, options: KillOptions): Promise<void> {
  const signal = options.signal === "" ? SIGKILL : parseSignal(options.signal);
  if (!isActive(container.state) && container.state.kind !== "restarting")
    throw new HullError("conflict", `container ${container.id} is not running`);
  const ends = isMeantToEnd(container, signal);
  if (ends) await wishStopped(deps, container);
  if (!isActive(container.state)) return; // It has just ended, or was about to be started by the policy.
  if (signal === SIGKILL) return endProcess(deps, container, { signal, timeoutSeconds: 0, abort: options.abort });
  await sendSignal(deps, container, signal);
  if (ends) await thaw(deps, container, signal);
}

/** As Docker has it: where a stop signal was configured that one, else any; SIGKILL always. */
const isMeantToEnd = (container: Container, signal: number): boolean => {
  const { StopSignal } = container.record.config;
  return signal === SIGKILL || !StopSignal || parseSignal(StopSignal) === signal;
};

export interface RestartOptions extends StopOptions {
  readonly parent: SpanContext;
}

/** Stop (when it runs) and start; namespaces, address and ports stay. */
export async function restartContainer(
  deps: ContainerDeps,
  container: Container,
  options: RestartOptions,
): Promise<void> {
  if (container.state.kind === "restarting")
    await container.queue.run(async () => {
      if (container.state.kind === "restarting") await giveUpRestart(deps, container);
    });
  if (isActive(container.state)) {
    container.keepSandbox = true;
    container.stopRequested = true;
    try {
      await endProcess(deps, container, { ...options, signal: stopSignalOf(container, options.signal) });
    } finally {
      await container.queue.run(async () => {
        container.keepSandbox = false;
      });
    }
    void container.queue.run(async () => deps.events.container(container.record, "stop"));
  }
  await container.queue.run(() => startContainer(deps, container, { parent: options.parent, byPolicy: false }));
  deps.events.container(container.record, "restart");
}
