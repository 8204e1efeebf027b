/**
 * keel serve as its daemon sees it: plans run, containers launched, locks held, DNS relayed, netlink watched.
 *
 * Lifecycle: `KeelServe.open` starts the coprocess and waits until it answers. When it is killed another one is started at once: what
 * was in flight fails with `unavailable`, locks are taken again, and `onRestarted` says that relays and watches are to be asked for
 * again. Disposal ends it; containers, their shims and pauses live on.
 */
import { Buffer } from "node:buffer";
import { setTimeout as sleep } from "node:timers/promises";
import { HullError } from "../platform/errors.ts";
import { keelPath } from "../platform/paths.ts";
import type { SpanContext } from "../trace/context.ts";
import type { Measured, Tracer } from "../trace/tracer.ts";
import { Coprocess } from "./coprocess.ts";
import { encodeOperations, type Operation } from "./plan.ts";
import { measuredSteps, outputsByIndex } from "./result.ts";
import { describeContainer, endContainer } from "./shim-client.ts";
import {
  decodeReply,
  encodeSection,
  type ShimContainer,
  type ShimLog,
  type ShimReply,
  type ShimStdio,
} from "./shim-records.ts";
import { decodeRecords, encodeRecord, type Frame } from "./wire.ts";

const request = { plan: 1, launch: 2, lock: 3, relay: 4, unrelay: 5, ping: 6, cancel: 7, watch: 8, ports: 9 } as const;
const event = { datagram: 0x4001, netlink: 0x4002 } as const;
const record = { path: 0x115, datagram: 0x116, watch: 0x117 } as const;
const NO_INDEX = 0xffffffffn;
const SHORT_LIFE_MS = 1000;
const LONGEST_DELAY_MS = 2000;
const LOCK_RETRY_MS = 100;
const nothing = new Uint8Array(0);

export interface RunOptions {
  /** Abort kills the plan's child; what it did so far stays done. */
  readonly signal?: AbortSignal | undefined;
  /** The operations become children of this span. */
  readonly parent?: SpanContext | undefined;
  /** Goes in front of the text of a failure. */
  readonly attempt?: string;
}

export interface PlanResult {
  readonly steps: Measured;
  /** Output of the i-th operation, for those that have one. */
  readonly outputs: ReadonlyMap<number, Buffer>;
}

export interface LaunchRequest {
  readonly container: ShimContainer;
  readonly stdio: ShimStdio;
  readonly log?: ShimLog | undefined;
  readonly host: readonly Operation[];
  readonly pause: readonly Operation[];
  readonly stage: readonly Operation[];
}

export interface Launched extends PlanResult {
  readonly pausePid: number;
  readonly shimPid: number;
  readonly pid: number;
}

/** A DNS question that reached a socket held by a pause; handed back with its answer. */
export interface DnsQuestion {
  readonly relayId: number;
  readonly isTcp: boolean;
  readonly connection: number;
  readonly address: string;
  readonly payload: Buffer;
}

export interface KeelServeOptions {
  readonly path?: string;
  readonly tracer?: Tracer;
  readonly onQuestion?: (question: DnsQuestion) => void;
  /** Raw netlink messages of a watch; empty: some were lost. */
  readonly onNetlink?: (watchId: number, messages: Buffer) => void;
  /** Another coprocess works; `why` the one before ended. */
  readonly onRestarted?: (why: string) => void;
  /** A lock that was held before a restart is another's now. */
  readonly onLockLost?: (path: string, error: unknown) => void;
}

export class KeelServe implements AsyncDisposable {
  readonly #options: KeelServeOptions;
  readonly #locks = new Set<string>();
  #process: Coprocess;
  #startedAt = 0;
  #shortLives = 0;
  #nextId = 1;
  #closing = false;

  private constructor(options: KeelServeOptions) {
    this.#options = options;
    this.#process = this.#start();
  }

  static async open(options: KeelServeOptions = {}): Promise<KeelServe> {
    const serve = new KeelServe(options);
    try {
      await serve.ping();
    } catch (error) {
      await serve[Symbol.asyncDispose]();
      throw error;
    }
    return serve;
  }

  /** Of the coprocess that works now. */
  get pid(): number {
    return this.#process.pid;
  }

  /** Runs the operations in order in a child of the coprocess; throws HullError naming the one that failed and its cause. */
  async run(operations: readonly Operation[], options: RunOptions = {}): Promise<PlanResult> {
    const { signal, parent, attempt = "" } = options;
    if (operations.length === 0) return { steps: () => [], outputs: new Map() };
    signal?.throwIfAborted();
    if (this.#closing) throw new HullError("cancelled", "keel serve is being ended");
    const id = this.#id();
    const process = this.#process;
    const cancel = () => process.send(request.cancel, id, nothing);
    signal?.addEventListener("abort", cancel, { once: true });
    try {
      const frame = await process.request(request.plan, id, Buffer.concat(encodeOperations(operations)));
      if (signal?.aborted && failed(frame)) throw new HullError("cancelled", attempt || "the plan was cancelled");
      return this.#result(attempt, frame, { operations, parent });
    } finally {
      signal?.removeEventListener("abort", cancel);
    }
  }

  /** Pause, shim and init, which waits to be started. On failure no process is left; the host section's effects are. */
  async launch(asked: LaunchRequest, signal?: AbortSignal): Promise<Launched> {
    signal?.throwIfAborted();
    const operations = [...asked.host, ...asked.pause, ...asked.stage];
    const { container, stdio, log } = asked;
    const payload = Buffer.concat([
      ...describeContainer({ container, stdio, ...(log && { log }) }).map(encodeRecord),
      ...encodeSection("host", asked.host),
      ...encodeSection("pause", asked.pause),
      ...encodeSection("stage", asked.stage),
    ]);
    const frame = await this.#process.request(request.launch, this.#id(), payload);
    const result = this.#result("", frame, { operations, parent: undefined });
    if (!signal?.aborted) return result;
    await endContainer(container.shimSocket);
    throw new HullError("cancelled", `launch ${container.id}: cancelled`);
  }

  /** Held as long as this process and a coprocess of it live. `conflict` when another process has it. */
  async lock(path: string): Promise<void> {
    if (this.#locks.has(path)) return;
    await this.#takeLock(path);
    this.#locks.add(path);
  }

  async ping(): Promise<void> {
    await this.#call("ping keel", request.ping, nothing);
  }

  /** The DNS sockets that a pause holds: their questions come to `onQuestion` until `unrelay`. */
  async relay(relayId: number, pauseSocket: string): Promise<void> {
    await this.#call(`relay DNS of ${pauseSocket}`, request.relay, pathPayload(pauseSocket), relayId);
  }

  async unrelay(relayId: number): Promise<void> {
    await this.#call(`end relay ${relayId}`, request.unrelay, nothing, relayId);
  }

  answer(question: DnsQuestion, payload: Uint8Array): void {
    const { relayId, isTcp, connection, address } = question;
    const ints = [relayId, isTcp ? 1 : 0, connection];
    this.#process.send(
      event.datagram,
      relayId,
      encodeRecord({ code: record.datagram, ints, blobs: [address, payload] }),
    );
  }

  /** Netlink multicast groups (bit n-1 is group n) of a protocol: messages come to `onNetlink`. */
  async watch(watchId: number, protocol: number, groups: number): Promise<void> {
    const payload = encodeRecord({ code: record.watch, ints: [protocol, groups] });
    await this.#call(`watch netlink protocol ${protocol}`, request.watch, payload, watchId);
  }

  /** `keel ports` on a socket, detached, unless one answers there. */
  async startPorts(socketPath: string): Promise<void> {
    await this.#call(`start keel ports on ${socketPath}`, request.ports, pathPayload(socketPath));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing = true;
    this.#process.end();
    await this.#process.ended;
  }

  /** Ids of relays and watches are the caller's and below 2^31; those of requests are above, so they never meet. */
  #id(): number {
    this.#nextId = (this.#nextId % 0x7fff_ffff) + 1;
    return this.#nextId + 0x8000_0000;
  }

  async #call(attempt: string, type: number, payload: Uint8Array, id = this.#id()): Promise<ShimReply> {
    const frame = await this.#process.request(type, id, payload);
    return decodeReply(attempt, frame.payload);
  }

  async #takeLock(path: string): Promise<void> {
    try {
      await this.#call(`lock ${path}`, request.lock, pathPayload(path));
    } catch (error) {
      if (error instanceof HullError && ["EAGAIN", "EWOULDBLOCK"].includes(String(error.facts.errno)))
        throw new HullError("conflict", `${path} is locked by another process`, { cause: error, facts: error.facts });
      throw error;
    }
  }

  /** Another process may have it for a moment: one that finds out at its start that it is not alone. */
  async #takeLockAgain(path: string): Promise<void> {
    const process = this.#process;
    for (let isTold = false; !this.#closing && process === this.#process; isTold = true) {
      try {
        return await this.#takeLock(path);
      } catch (error) {
        if (process !== this.#process) return; // The one after this takes it.
        if (!isTold) this.#options.onLockLost?.(path, error);
      }
      await sleep(LOCK_RETRY_MS);
    }
  }

  #result(
    attempt: string,
    frame: Frame,
    of: { operations: readonly Operation[]; parent: SpanContext | undefined },
  ): Launched {
    const [raw] = decodeRecords(frame.payload);
    const index = raw?.ints[0] === NO_INDEX || raw?.ints[1] === 0n ? undefined : Number(raw?.ints[0]);
    const steps = () => measuredSteps(of.operations, raw?.blobs[0] ?? Buffer.alloc(0), index);
    if (of.parent) this.#options.tracer?.steps(of.parent, steps);
    const { pausePid, shimPid, pid, outputs } = decodeReply(attempt, frame.payload, of.operations);
    return { steps, outputs: outputsByIndex(outputs), pausePid, shimPid, pid };
  }

  #start(): Coprocess {
    this.#startedAt = performance.now();
    return new Coprocess(this.#options.path ?? process.env.KEEL ?? keelPath(), {
      onEvent: (frame) => this.#onEvent(frame),
      onEnd: (why) => this.#onEnd(why),
    });
  }

  #onEvent(frame: Frame): void {
    if (frame.type === event.netlink) this.#options.onNetlink?.(frame.id, frame.payload);
    if (frame.type !== event.datagram) return;
    const [datagram] = decodeRecords(frame.payload);
    if (datagram?.code !== record.datagram) return;
    const [relayId = 0n, isTcp = 0n, connection = 0n] = datagram.ints;
    this.#options.onQuestion?.({
      relayId: Number(relayId),
      isTcp: isTcp !== 0n,
      connection: Number(connection),
      address: datagram.blobs[0]?.toString() ?? "",
      payload: datagram.blobs[1] ?? Buffer.alloc(0),
    });
  }

  #onEnd(why: string): void {
    if (this.#closing) return;
    this.#shortLives = performance.now() - this.#startedAt < SHORT_LIFE_MS ? this.#shortLives + 1 : 0;
    const delayMs = this.#shortLives < 2 ? 0 : Math.min(10 * 2 ** this.#shortLives, LONGEST_DELAY_MS);
    if (delayMs === 0) this.#startAgain(why);
    else setTimeout(() => this.#startAgain(why), delayMs);
  }

  #startAgain(why: string): void {
    if (this.#closing) return;
    this.#process = this.#start();
    for (const path of this.#locks) void this.#takeLockAgain(path);
    this.#options.onRestarted?.(why);
  }
}

const pathPayload = (path: string): Uint8Array => encodeRecord({ code: record.path, blobs: [path] });

const failed = (frame: Frame): boolean => decodeRecords(frame.payload)[0]?.ints[1] !== 0n;
