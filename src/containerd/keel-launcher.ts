/** Launcher on keel serve: plans and launches, their operations recorded as spans. */
import { type ChildProcess, spawn } from "node:child_process";
import { encodeOperations, type Operation } from "../keel/plan.ts";
import { describeContainer } from "../keel/shim-client.ts";
import { decodeReply, encodeSection, type ShimReply } from "../keel/shim-records.ts";
import { encodeFrame, encodeRecord, FrameReader } from "../keel/wire.ts";
import { HullError } from "../platform/errors.ts";
import type { Log } from "../platform/log.ts";
import type { Tracer } from "../trace/tracer.ts";
import type { PlanOptions, PlanOutcome } from "./kernel.ts";
import type { Launched, Launcher, LaunchRequest } from "./tasks/runtime.ts";
import { stepsOf } from "./tasks/steps.ts";

export interface KeelOptions {
  readonly path: string;
  readonly tracer: Tracer;
  readonly log: Log;
}

const request = { plan: 1, launch: 2, lock: 3, cancel: 7 } as const;
const PATH_RECORD = 0x115;
/** Room in which keel shows its role and container in ps. */
const TITLE_ROOM = "-".repeat(120);

interface Waiting {
  readonly resolve: (payload: Buffer) => void;
  readonly reject: (error: HullError) => void;
}

export class Keel implements Launcher, AsyncDisposable {
  #child: ChildProcess | undefined;
  #nextId = 1;
  #closed = false;
  readonly #waiting = new Map<number, Waiting>();
  readonly #locks: string[] = [];

  constructor(private readonly options: KeelOptions) {}

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  async run(plan: readonly Operation[], options: PlanOptions = {}): Promise<PlanOutcome> {
    const reply = await this.#ask({
      type: request.plan,
      payload: Buffer.concat(encodeOperations(plan)),
      plan,
      signal: options.signal,
    });
    if (options.parent) this.options.tracer.steps(options.parent, stepsOf(plan, reply.steps));
    return { outputs: decodeOutputs(reply.outputs) };
  }

  async launch(asked: LaunchRequest, signal?: AbortSignal): Promise<Launched> {
    const { container, stdio, log, host, pause, stage } = asked;
    const plan = [...host, ...pause, ...stage];
    const head = describeContainer({ container, stdio, ...(log && { log }) }).map(encodeRecord);
    const sections = [
      ...encodeSection("host", host),
      ...encodeSection("pause", pause),
      ...encodeSection("stage", stage),
    ];
    const reply = await this.#ask({
      type: request.launch,
      payload: Buffer.concat([...head, ...sections]),
      plan,
      signal,
    });
    const { pausePid, shimPid, pid } = reply;
    return { pausePid, shimPid, pid, steps: stepsOf(plan, reply.steps) };
  }

  /** Held until this process's end; taken again when keel is replaced. Throws `conflict` when another process has it. */
  async lock(path: string): Promise<void> {
    await this.#takeLock(path);
    this.#locks.push(path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#child?.stdin?.end();
  }

  start(): void {
    const child = spawn(this.options.path, ["serve", TITLE_ROOM], { stdio: ["pipe", "pipe", "inherit"] });
    const reader = new FrameReader();
    this.#child = child;
    child.stdin!.on("error", () => {});
    child.stdout!.on("data", (chunk: Buffer) => {
      for (const frame of reader.push(chunk)) this.#settle(frame.id)?.resolve(frame.payload);
    });
    child.once("error", (error) => this.#onGone(child, error.message));
    child.once("exit", (code, signal) => this.#onGone(child, `it ended (${signal ?? code})`));
  }

  async #takeLock(path: string): Promise<void> {
    try {
      await this.#ask({ type: request.lock, payload: encodeRecord({ code: PATH_RECORD, blobs: [path] }), plan: [] });
    } catch (error) {
      if (error instanceof HullError && /EWOULDBLOCK|EAGAIN/.test(String(error.facts.errno))) {
        throw new HullError("conflict", `another hull-containerd has ${path}`, { cause: error });
      }
      throw error;
    }
  }

  #ask(asked: {
    type: number;
    payload: Buffer;
    plan: readonly Operation[];
    signal?: AbortSignal | undefined;
  }): Promise<ShimReply> {
    const { type, payload, plan, signal } = asked;
    const child = this.#child;
    if (child === undefined) return Promise.reject(new HullError("unavailable", "keel is being started again"));
    const id = this.#nextId++;
    return new Promise<Buffer>((resolve, reject) => {
      const onAbort = (): void => void child.stdin!.write(encodeFrame(request.cancel, id, new Uint8Array()));
      signal?.addEventListener("abort", onAbort, { once: true });
      const done = (): void => signal?.removeEventListener("abort", onAbort);
      this.#waiting.set(id, {
        resolve: (bytes) => {
          done();
          resolve(bytes);
        },
        reject: (error) => {
          done();
          reject(error);
        },
      });
      child.stdin!.write(encodeFrame(type, id, payload));
    }).then((bytes) => decodeReply(attemptOf(plan), bytes, plan));
  }

  #settle(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiting;
  }

  #onGone(child: ChildProcess, why: string): void {
    if (this.#child !== child) return;
    this.#child = undefined;
    for (const id of [...this.#waiting.keys()])
      this.#settle(id)!.reject(new HullError("unavailable", `keel is gone: ${why}`));
    if (this.#closed) return;
    this.options.log.warn("keel is gone, starting another", { why });
    this.start();
    for (const path of this.#locks) {
      this.#takeLock(path).catch((error) => this.options.log.error(`take the lock again: ${String(error)}`));
    }
  }
}

export async function openKeel(options: KeelOptions): Promise<Keel> {
  const keel = new Keel(options);
  keel.start();
  return keel;
}

const attemptOf = (plan: readonly Operation[]): string => plan[0]?.cause || plan[0]?.name || "keel";

/** { u32 operation index | u32 length | bytes, padded to 8 } each. */
function decodeOutputs(bytes: Buffer): Map<number, Buffer> {
  const outputs = new Map<number, Buffer>();
  for (let at = 0; at + 8 <= bytes.length; ) {
    const length = bytes.readUInt32LE(at + 4);
    outputs.set(bytes.readUInt32LE(at), bytes.subarray(at + 8, at + 8 + length));
    at += (8 + length + 7) & ~7;
  }
  return outputs;
}
