/**
 * `keel init` and `keel exec`: a container's process without a shim (docs/protocols.md, "keel init and keel exec").
 *
 * Lifecycle: `StandAlone.begin` (the constructor, then `execute`) starts keel and resolves once the process is there (init: it waits; exec: it runs). `start` lets a
 * foreground init run; `exit` is keel's exit code: the process's own in the foreground, 0 for a detached one. A failure leaves nothing.
 */
import { Buffer } from "node:buffer";
import { HullError } from "../platform/errors.ts";
import { keelPath } from "../platform/paths.ts";
import { type PipedProcess, type Stdio, spawnPiped } from "../platform/piped-process.ts";
import type { MeasuredStep } from "../trace/tracer.ts";
import { encodeOperations, type Operation } from "./plan.ts";
import { measuredSteps } from "./result.ts";
import { decodeReply } from "./shim-records.ts";
import { encodeFrame, type Frame, FrameReader } from "./wire.ts";

export interface StandAloneOptions {
  readonly mode:
    | { readonly kind: "create" | "run" }
    /** As run, and disposal (or our own end) kills it, with its pid namespace, at any time. */
    | { readonly kind: "tied" }
    /** One more process in the container whose init has this pid. */
    | { readonly kind: "exec"; readonly initPid: number; readonly detach: boolean };
  /** The process's 0, 1, 2: a descriptor of ours, or ours by default. */
  readonly stdio?: readonly [Stdio, Stdio, Stdio];
  /** Descriptor of a connected console socket, where a plan with a `console` is not run in the foreground. */
  readonly consoleFd?: number | undefined;
  /** Descriptors of ours that become the process's 3 and up; its plan's closeRange leaves them alone. */
  readonly preserved?: readonly number[] | undefined;
  readonly path?: string;
}

export interface StandAloneRequest extends StandAloneOptions {
  readonly operations: readonly Operation[];
}

export class StandAlone implements Disposable {
  readonly exit: Promise<number>;
  readonly #child: PipedProcess;
  readonly #replies: AsyncGenerator<Frame>;
  #operations: readonly Operation[] = [];
  #pid = 0;
  #steps: Buffer = Buffer.alloc(0);

  /** Starts keel, which gets ready while the plan is being made. Dispose of it when no plan comes. */
  constructor(options: StandAloneOptions) {
    this.#child = spawnPiped({
      argv: [options.path ?? process.env.KEEL ?? keelPath(), ...argumentsOf(options)],
      stdio: options.stdio ?? ["inherit", "inherit", "inherit"],
      extraFd: options.consoleFd,
      more: options.preserved,
    });
    this.exit = this.#child.exited;
    this.#replies = frames(this.#child.output);
  }

  static async begin(request: StandAloneRequest): Promise<StandAlone> {
    const made = new StandAlone(request);
    await made.execute(request.operations);
    return made;
  }

  async execute(operations: readonly Operation[]): Promise<void> {
    this.#operations = operations;
    await this.#child.write(encodeFrame(1, 0, Buffer.concat(encodeOperations(operations))));
    await this.#reply();
  }

  get pid(): number {
    return this.#pid;
  }

  /** Measurements of what has run so far. */
  get steps(): readonly MeasuredStep[] {
    return measuredSteps(this.#operations, this.#steps, undefined);
  }

  /** Foreground init only: resolves after execve; throws its errno. */
  async start(): Promise<void> {
    await this.#child.write(Buffer.from("s"));
    await this.#reply();
  }

  /** Forwards a signal to keel, which passes it on. */
  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  [Symbol.dispose](): void {
    this.#child[Symbol.dispose]();
    void this.#replies.return(undefined);
  }

  async #reply(): Promise<void> {
    const next = await this.#replies.next();
    if (next.done) throw new HullError("internal", `keel ended without an answer (exit code ${await this.exit})`);
    const { pid, steps } = decodeReply("", next.value.payload, this.#operations);
    this.#pid = pid;
    this.#steps = steps;
  }
}

function argumentsOf({ mode, preserved = [] }: StandAloneOptions): string[] {
  const words =
    mode.kind === "exec" ? ["exec", mode.detach ? "detach" : "run", `${mode.initPid}`] : ["init", mode.kind];
  return preserved.length === 0 ? words : [...words, `${preserved.length}`];
}

async function* frames(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Frame> {
  const reader = new FrameReader();
  for await (const chunk of stream) yield* reader.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
}
