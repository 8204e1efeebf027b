/**
 * One task: the live side of a container. Holds its state as an immutable value, follows the shim's events and publishes what
 * happens, each exit once and in order (exec exits before init's, start before exit).
 */
import { readFileSync } from "node:fs";
import type { ShimEvent } from "../../keel/shim-client.ts";
import { dockerExitCode, type ShimProcess } from "../../keel/shim-records.ts";
import { HullError } from "../../platform/errors.ts";
import type { EventBroker } from "../event-broker.ts";
import type { TaskPaths } from "../roots.ts";
import { toTimestamp } from "../timestamp.ts";
import { markReported, type TaskFile } from "./bundle.ts";
import { type ExitInfo, nextState, type ProcessEvent, type ProcessState } from "./process-state.ts";
import { Serial } from "./serial.ts";
import type { ShimLink } from "./shim-link.ts";

export interface TaskStdio {
  readonly stdin: string;
  readonly stdout: string;
  readonly stderr: string;
  readonly terminal: boolean;
}

export interface TaskIdentity {
  readonly namespace: string;
  readonly id: string;
  readonly paths: TaskPaths;
  readonly file: TaskFile;
  readonly events: EventBroker;
}

/** A process of the task. */
export interface TaskProcess {
  /** Empty: init. */
  readonly execId: string;
  readonly stdio: TaskStdio;
  readonly state: ProcessState;
}

interface Entry {
  process: TaskProcess;
  readonly waiters: ((exit: ProcessState & { kind: "stopped" }) => void)[];
  /** Starts and exits of this process in order. */
  readonly order: Serial;
}

export class Task {
  readonly #processes = new Map<string, Entry>();
  /** Writers of this task. */
  readonly serial = new Serial();
  link: ShimLink | undefined;
  shimPid = 0;
  pausePid = 0;
  oomSeen = false;
  /** Its exit was published by an earlier hull-containerd. */
  reported = false;

  constructor(
    readonly identity: TaskIdentity,
    pid: number,
  ) {
    this.add({ execId: "", stdio: identity.file, state: { kind: "created", pid } });
  }

  /** The processes keel made for it. */
  launched({
    pid,
    shimPid,
    pausePid,
  }: {
    readonly pid: number;
    readonly shimPid: number;
    readonly pausePid: number;
  }): void {
    this.created("", pid);
    this.shimPid = shimPid;
    this.pausePid = pausePid;
  }

  get namespace(): string {
    return this.identity.namespace;
  }

  get id(): string {
    return this.identity.id;
  }

  get init(): TaskProcess {
    return this.process("");
  }

  supervisedBy(shimPid: number): void {
    this.shimPid = shimPid;
  }

  /** True while its shim lives. */
  hasShim(): boolean {
    return isRunning(this.shimPid);
  }

  /** True while init lives. */
  isAlive(): boolean {
    return isRunning(this.init.state.pid);
  }

  /** True while its pause lives. */
  hasPause(): boolean {
    return isRunning(this.pausePid);
  }

  add(process: TaskProcess): void {
    this.#processes.set(process.execId, { process, waiters: [], order: new Serial() });
  }

  /** Throws `not-found`. */
  process(execId: string): TaskProcess {
    return this.#entry(execId).process;
  }

  find(execId: string): TaskProcess | undefined {
    return this.#processes.get(execId)?.process;
  }

  execs(): TaskProcess[] {
    return [...this.#processes.values()].map((entry) => entry.process).filter((process) => process.execId !== "");
  }

  /** An exec waits at its start. */
  created(execId: string, pid: number): void {
    const entry = this.#entry(execId);
    entry.process = { ...entry.process, state: { kind: "created", pid } };
  }

  forget(execId: string): void {
    this.#processes.delete(execId);
  }

  /** The shim, or `unavailable` while it is being looked for. */
  shim(): ShimLink {
    if (this.link === undefined) throw new HullError("unavailable", `the shim of ${this.id} is gone`);
    return this.link;
  }

  /** Runs a start in its process's order, so that its exit is reported after it. */
  starting<T>(execId: string, body: () => Promise<T>): Promise<T> {
    return this.#entry(execId).order.run(body);
  }

  move(execId: string, event: ProcessEvent): void {
    const entry = this.#entry(execId);
    entry.process = { ...entry.process, state: nextState(entry.process.state, event) };
  }

  /** Sets what the shim says without publishing: adoption. */
  restore(process: ShimProcess): void {
    if (!this.#processes.has(process.execId)) {
      this.add({ execId: process.execId, stdio: this.identity.file, state: { kind: "created", pid: process.pid } });
    }
    const entry = this.#entry(process.execId);
    if (process.state === "running" && entry.process.state.kind === "created") {
      this.move(process.execId, { kind: "start", at: msOf(process.startedAtNs) });
    }
  }

  onShimEvent(event: ShimEvent): void {
    if (event.kind === "oom") this.#onOom();
    else void this.#onExited(event.process);
  }

  /** Resolves when the process has stopped. Throws when `signal` aborts. */
  wait(execId: string, signal: AbortSignal): Promise<ProcessState & { kind: "stopped" }> {
    const entry = this.#entry(execId);
    const { state } = entry.process;
    if (state.kind === "stopped") return Promise.resolve(state);
    return new Promise((resolve, reject) => {
      const onAbort = (): void => reject(new HullError("cancelled", "the wait was given up"));
      if (signal.aborted) return onAbort();
      signal.addEventListener("abort", onAbort, { once: true });
      entry.waiters.push((stopped) => {
        signal.removeEventListener("abort", onAbort);
        resolve(stopped);
      });
    });
  }

  /** Init's end when nobody is left who could tell it (shim and pause are dead). */
  async declareDead(exit: ExitInfo): Promise<void> {
    for (const { execId } of this.execs()) await this.#stop(execId, exit);
    await this.#stop("", exit);
  }

  #entry(execId: string): Entry {
    const entry = this.#processes.get(execId);
    if (entry === undefined) throw new HullError("not-found", `process ${execId} of task ${this.id}: not found`);
    return entry;
  }

  #onOom(): void {
    if (this.oomSeen) return;
    this.oomSeen = true;
    this.identity.events.publish(this.namespace, "/tasks/oom", { containerId: this.id });
  }

  async #onExited(process: ShimProcess & { readonly state: "stopped" }): Promise<void> {
    if (process.execId !== "" && this.find(process.execId) === undefined) this.restore(process);
    const exit = {
      exitStatus: dockerExitCode(process.status),
      exitedAt: msOf(process.exitedAtNs),
      oomKilled: process.oomKilled,
    };
    if (process.oomKilled && process.execId === "") this.#onOom();
    await this.#stop(process.execId, exit);
  }

  async #stop(execId: string, exit: ExitInfo): Promise<void> {
    const entry = this.#processes.get(execId);
    if (entry === undefined) return;
    if (execId === "") {
      const execs = [...this.#processes.values()].filter((other) => other !== entry);
      await Promise.all(execs.map((other) => other.order.idle()));
    }
    await entry.order.run(async () => this.#stopNow(entry, exit));
  }

  #stopNow(entry: Entry, exit: ExitInfo): void {
    const { execId, state } = entry.process;
    if (state.kind === "stopped") return;
    this.move(execId, { kind: "exit", exit });
    const published = execId === "" && this.reported;
    if (!published) {
      this.identity.events.publish(this.namespace, "/tasks/exit", {
        containerId: this.id,
        id: execId === "" ? this.id : execId,
        pid: state.pid,
        exitStatus: exit.exitStatus,
        exitedAt: toTimestamp(exit.exitedAt),
      });
      if (execId === "") void markReported(this.identity.paths.bundle);
    }
    const stopped = entry.process.state as ProcessState & { kind: "stopped" };
    for (const waiter of entry.waiters.splice(0)) waiter(stopped);
  }
}

const msOf = (ns: bigint): number => Number(ns / 1000n) / 1000;

/** A zombie does not run any more, though signals still find it. */
function isRunning(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return pid > 0 && !/[ZX]/.test(stat[stat.lastIndexOf(")") + 2] ?? "X");
  } catch {
    return false;
  }
}
