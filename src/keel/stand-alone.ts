/**
 * `keel init` and `keel exec`: a container's process without a shim (docs/protocols.md, "keel init and keel exec").
 *
 * Lifecycle: `StandAlone.begin` starts keel and resolves once the process is there (init: it waits; exec: it runs). `start` lets a
 * foreground init run; `exit` is keel's exit code: the process's own in the foreground, 0 for a detached one. A failure leaves nothing.
 */
import { Buffer } from "node:buffer";
import { type ChildProcess, spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { HullError } from "../platform/errors.ts";
import { keelPath } from "../platform/paths.ts";
import type { MeasuredStep } from "../trace/tracer.ts";
import { encodeOperations, type Operation } from "./plan.ts";
import { measuredSteps } from "./result.ts";
import { decodeReply } from "./shim-records.ts";
import { encodeFrame, type Frame, FrameReader } from "./wire.ts";

export interface StandAloneRequest {
  readonly operations: readonly Operation[];
  readonly mode:
    | { readonly kind: "create" | "run" }
    /** One more process in the container whose init has this pid. */
    | { readonly kind: "exec"; readonly initPid: number; readonly detach: boolean };
  /** The process's 0, 1, 2: a descriptor of ours, or ours by default. */
  readonly stdio?: readonly [
    "inherit" | "ignore" | number,
    "inherit" | "ignore" | number,
    "inherit" | "ignore" | number,
  ];
  /** Descriptor of a connected console socket, where a plan with a `console` is not run in the foreground. */
  readonly consoleFd?: number;
  readonly path?: string;
}

export class StandAlone {
  readonly exit: Promise<number>;
  readonly #child: ChildProcess;
  readonly #operations: readonly Operation[];
  readonly #replies: AsyncGenerator<Frame>;
  #pid = 0;
  #steps: readonly MeasuredStep[] = [];

  private constructor(request: StandAloneRequest) {
    const [stdin, stdout, stderr] = request.stdio ?? ["inherit", "inherit", "inherit"];
    const console = request.consoleFd === undefined ? [] : [request.consoleFd];
    const child = spawn(request.path ?? process.env.KEEL ?? keelPath(), argumentsOf(request.mode), {
      stdio: [stdin, stdout, stderr, "pipe", "pipe", ...console],
      detached: request.mode.kind === "create",
    });
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    child.once("error", reject);
    child.once("exit", (code, signal) => resolve(code ?? (signal ? 137 : 1)));
    this.exit = promise;
    this.#child = child;
    this.#operations = request.operations;
    this.#replies = frames(child.stdio[4] as Readable);
    this.#message.on("error", () => undefined); // an end of keel shows in its replies
    this.#message.write(encodeFrame(1, 0, Buffer.concat(encodeOperations(request.operations))));
  }

  static async begin(request: StandAloneRequest): Promise<StandAlone> {
    const made = new StandAlone(request);
    await made.#reply();
    return made;
  }

  get pid(): number {
    return this.#pid;
  }

  /** Measurements of what has run so far. */
  get steps(): readonly MeasuredStep[] {
    return this.#steps;
  }

  /** Foreground init only: resolves after execve; throws its errno. */
  async start(): Promise<void> {
    this.#message.write("s");
    await this.#reply();
  }

  /** Forwards a signal to keel, which passes it on. */
  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  get #message(): Writable {
    return this.#child.stdio[3] as Writable;
  }

  async #reply(): Promise<void> {
    const next = await this.#replies.next();
    if (next.done) throw new HullError("internal", `keel ended without an answer (exit code ${await this.exit})`);
    const { pid, steps } = decodeReply("", next.value.payload, this.#operations);
    this.#pid = pid;
    this.#steps = measuredSteps(this.#operations, steps, undefined);
  }
}

function argumentsOf(mode: StandAloneRequest["mode"]): string[] {
  return mode.kind === "exec" ? ["exec", mode.detach ? "detach" : "run", `${mode.initPid}`] : ["init", mode.kind];
}

async function* frames(stream: Readable): AsyncGenerator<Frame> {
  const reader = new FrameReader();
  for await (const chunk of stream) yield* reader.push(chunk as Buffer);
}
