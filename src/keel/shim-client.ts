/**
 * Client of a container's shim and of its pause (docs/protocols.md, "shim" and "pause").
 *
 * Lifecycle: `ShimClient.open` connects to a live shim; requests run concurrently on that connection; `attach` opens its own and gives
 * the raw socket; `close` ends the connection and nothing else. Every call but `wait` ends after ten seconds when it has no signal.
 */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { join } from "node:path";
import { codeOf, during, HullError } from "../platform/errors.ts";
import type { Operation } from "./plan.ts";
import { type CallOptions, connectTo, DEFAULT_DEADLINE_MS, FrameConnection } from "./shim-connection.ts";
import {
  containerRecord,
  decodeEvent,
  decodeReply,
  type ExitStatus,
  encodeSection,
  execRecord,
  exitStatusOf,
  logRecord,
  type ShimContainer,
  type ShimLog,
  type ShimProcess,
  type ShimReply,
  type ShimStdio,
  stdioRecord,
} from "./shim-records.ts";
import { encodeFrame, encodeRecord, FRAME_HEADER_BYTES, type Frame, type RecordInput } from "./wire.ts";

const shimRequest = {
  state: 32,
  start: 33,
  kill: 34,
  exec: 35,
  attach: 36,
  resize: 37,
  closeStdin: 38,
  wait: 39,
  subscribe: 40,
  delete: 41,
  shutdown: 42,
} as const;
const pauseRequest = { forkShim: 16, info: 18, stop: 19 } as const;
const record = { attach: 0x111, resize: 0x112, signal: 0x113, target: 0x114 } as const;
const EXITED = 0x4010;
const OOM = 0x4011;

/** The file name of a container's sockets: 16 hex digits of sha256("namespace/id"). */
export const socketName = (namespace: string, id: string): string =>
  createHash("sha256").update(`${namespace}/${id}`).digest("hex").slice(0, 16);

export type ShimEvent =
  | { readonly kind: "exited"; readonly process: ShimProcess & { readonly state: "stopped" } }
  | { readonly kind: "oom" };

export interface ShimEvents {
  readonly onEvent?: (event: ShimEvent) => void;
  /** The shim went away (or was killed: its successor listens on the same path). */
  readonly onClose?: () => void;
}

export interface AttachRequest {
  readonly execId?: string;
  readonly stdin?: boolean;
  readonly stdout?: boolean;
  readonly stderr?: boolean;
  /** Without Docker's 8-byte headers (terminals). */
  readonly raw?: boolean;
}

export interface ExecRequest {
  readonly execId: string;
  readonly stdio: ShimStdio;
  readonly operations: readonly Operation[];
  /** Answer only once it runs, instead of when it waits to be started. */
  readonly startNow?: boolean;
}

const target = (execId: string): Uint8Array => encodeRecord({ code: record.target, blobs: [execId] });
const named = (execId: string): string => (execId === "" ? "init" : `exec ${execId}`);
const deadline = (options: CallOptions): AbortSignal => options.signal ?? AbortSignal.timeout(DEFAULT_DEADLINE_MS);

interface Call {
  readonly attempt: string;
  readonly type: number;
  readonly payload: Uint8Array;
  readonly signal?: AbortSignal | undefined;
  readonly flags?: number;
  readonly operations?: readonly Operation[];
}

async function call(connection: FrameConnection, asked: Call): Promise<ShimReply> {
  const options = { signal: asked.signal, flags: asked.flags ?? 0 };
  const frame = await connection.request(asked.type, asked.payload, options).catch((error: unknown) => {
    throw during(asked.attempt, error);
  });
  return decodeReply(asked.attempt, frame.payload, asked.operations);
}

const nothing = new Uint8Array(0);

export class ShimClient {
  readonly #connection: FrameConnection;
  readonly #path: string;

  private constructor(connection: FrameConnection, path: string) {
    this.#connection = connection;
    this.#path = path;
  }

  /** `unavailable` when no shim listens at `path`. */
  static async open(path: string, events: ShimEvents = {}, options: CallOptions = {}): Promise<ShimClient> {
    const onEvent = (frame: Frame) => {
      if (frame.type === OOM) events.onEvent?.({ kind: "oom" });
      if (frame.type !== EXITED) return;
      const process = decodeEvent(frame.payload);
      if (process.state === "stopped") events.onEvent?.({ kind: "exited", process });
    };
    const listeners = { onEvent, ...(events.onClose ? { onClose: events.onClose } : {}) };
    return new ShimClient(await FrameConnection.open(path, listeners, options), path);
  }

  get closed(): boolean {
    return this.#connection.closed;
  }

  /** Every process it has, and the pids of shim and pause. */
  state(options: CallOptions = {}): Promise<ShimReply> {
    return this.#call("ask the shim for its state", shimRequest.state, nothing, options);
  }

  /** Lets a created process run; an execve failure is thrown with its errno in `facts`. */
  async start(execId = "", options: CallOptions = {}): Promise<void> {
    await this.#call(`start ${named(execId)}`, shimRequest.start, target(execId), options);
  }

  /** `not-found` when it has ended. `all`: every process of the container's cgroup. */
  async kill(asked: { execId?: string; signal: number; all?: boolean }, options: CallOptions = {}): Promise<void> {
    const execId = asked.execId ?? "";
    const payload = encodeRecord({ code: record.signal, ints: [asked.signal, asked.all ? 1 : 0], blobs: [execId] });
    await this.#call(`send signal ${asked.signal} to ${named(execId)}`, shimRequest.kill, payload, options);
  }

  /** Makes one more process; the reply has its pid and keel's steps. */
  exec(asked: ExecRequest, options: CallOptions = {}): Promise<ShimReply> {
    const head = [execRecord(asked.execId, asked.startNow ?? false), stdioRecord(asked.stdio)].map(encodeRecord);
    return call(this.#connection, {
      attempt: `exec ${asked.execId}`,
      type: shimRequest.exec,
      payload: Buffer.concat([...head, ...encodeSection("stage", asked.operations)]),
      signal: deadline(options),
      operations: asked.operations,
    });
  }

  async resize(size: { execId?: string; rows: number; columns: number }, options: CallOptions = {}): Promise<void> {
    const execId = size.execId ?? "";
    const payload = encodeRecord({ code: record.resize, ints: [size.rows, size.columns], blobs: [execId] });
    await this.#call(`resize the terminal of ${named(execId)}`, shimRequest.resize, payload, options);
  }

  async closeStdin(execId = "", options: CallOptions = {}): Promise<void> {
    await this.#call(`close stdin of ${named(execId)}`, shimRequest.closeStdin, target(execId), options);
  }

  /** Resolves when the process has ended and its output was drained. No deadline of its own. */
  async wait(execId = "", options: CallOptions = {}): Promise<ShimProcess & { readonly state: "stopped" }> {
    const attempt = `wait for ${named(execId)}`;
    const asked = { attempt, type: shimRequest.wait, payload: target(execId), signal: options.signal };
    const { processes } = await call(this.#connection, asked);
    const [process] = processes;
    if (process?.state !== "stopped") throw new HullError("internal", `${attempt}: the answer tells no exit`);
    return process;
  }

  /** From now on `onEvent` is called; exits that were not yet deleted come first. */
  async subscribe(options: CallOptions = {}): Promise<void> {
    await this.#call("subscribe to the shim's events", shimRequest.subscribe, nothing, options);
  }

  /** Forgets a stopped process and its exit record. `failed-precondition` while it runs. */
  async delete(execId = "", options: CallOptions = {}): Promise<void> {
    await this.#call(`forget ${named(execId)}`, shimRequest.delete, target(execId), options);
  }

  /** The shim ends once init has and attached clients have their bytes; with `pause` the namespaces go too. */
  async shutdown(how: { pause: boolean }, options: CallOptions = {}): Promise<void> {
    await call(this.#connection, {
      attempt: "shut the shim down",
      type: shimRequest.shutdown,
      payload: nothing,
      signal: deadline(options),
      flags: how.pause ? 1 : 0,
    });
  }

  /** A connection of its own, raw after the handshake: output from the shim, stdin to it, half-close ends stdin. */
  attach(asked: AttachRequest, options: CallOptions = {}): Promise<Socket> {
    return attachTo(this.#path, asked, options);
  }

  close(): void {
    this.#connection.close();
  }

  #call(attempt: string, type: number, payload: Uint8Array, options: CallOptions): Promise<ShimReply> {
    return call(this.#connection, { attempt, type, payload, signal: deadline(options) });
  }
}

const END_DEADLINE_MS = 10_000;

/** Ends a container that nobody wants any more, whatever it does: its process, its shim, its pause. `unavailable`: no shim is there. */
export async function endContainer(shimSocket: string): Promise<void> {
  const signal = AbortSignal.timeout(END_DEADLINE_MS);
  const gone = Promise.withResolvers<void>();
  const shim = await ShimClient.open(shimSocket, { onClose: gone.resolve }, { signal });
  try {
    await shim.kill({ signal: 9 }, { signal }).catch((error: unknown) => {
      if (codeOf(error) !== "not-found") throw error; // It has ended already.
    });
    await shim.wait("", { signal });
    await shim.shutdown({ pause: true }, { signal });
    await gone.promise;
  } finally {
    shim.close();
  }
}

const attachFlags = (asked: AttachRequest): number =>
  (asked.stdin ? 1 : 0) | (asked.stdout ? 2 : 0) | (asked.stderr ? 4 : 0) | (asked.raw ? 8 : 0);

/** Attaches to a process by the shim's socket path. The socket comes paused: nothing is lost until it is read. */
export async function attachTo(path: string, asked: AttachRequest, options: CallOptions = {}): Promise<Socket> {
  const execId = asked.execId ?? "";
  const attempt = `attach to ${named(execId)}`;
  const signal = deadline(options);
  const socket = await connectTo(path, signal);
  try {
    const payload = encodeRecord({ code: record.attach, ints: [attachFlags(asked)], blobs: [execId] });
    socket.write(encodeFrame(shimRequest.attach, 1, payload));
    decodeReply(attempt, await readReply(socket, signal));
    return socket;
  } catch (error) {
    socket.destroy();
    throw during(attempt, error);
  }
}

/** Reads one reply and pushes what follows it back. */
function readReply(socket: Socket, signal: AbortSignal): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let have: Buffer = Buffer.alloc(0);
    const settle = (finish: () => void) => {
      socket.off("data", onData);
      socket.off("error", onError);
      socket.off("end", onEnd);
      signal.removeEventListener("abort", onAbort);
      socket.pause();
      finish();
    };
    const onError = (error: unknown) => settle(() => reject(error));
    const onEnd = () => onError(new HullError("unavailable", "the shim closed the connection"));
    const onAbort = () => onError(signal.reason);
    const onData = (chunk: Buffer) => {
      have = Buffer.concat([have, chunk]);
      if (have.length < FRAME_HEADER_BYTES) return;
      const end = FRAME_HEADER_BYTES + have.readUInt32LE(0);
      if (have.length < end) return;
      const rest = have.subarray(end);
      settle(() => {
        if (rest.length > 0) socket.unshift(rest);
        resolve(have.subarray(FRAME_HEADER_BYTES, end));
      });
    };
    socket.on("data", onData);
    socket.on("error", onError);
    socket.on("end", onEnd);
    signal.addEventListener("abort", onAbort, { once: true });
  });
}

export interface ForkShimRequest {
  readonly container: ShimContainer;
  readonly stdio: ShimStdio;
  readonly log?: ShimLog;
  readonly stage: readonly Operation[];
}

/** The records that FORK_SHIM and LAUNCH begin with. */
export function describeContainer(asked: Omit<ForkShimRequest, "stage">): RecordInput[] {
  const log = asked.log ? [logRecord(asked.log)] : [];
  return [containerRecord(asked.container), stdioRecord(asked.stdio), ...log];
}

/** Requests to a pause, one connection each: they are rare. */
export const pauseClient = {
  /** A new shim and init in the namespaces that pause holds. `failed-precondition` while a shim lives. */
  forkShim(path: string, asked: ForkShimRequest, options: CallOptions = {}): Promise<ShimReply> {
    const head = describeContainer(asked).map(encodeRecord);
    const payload = Buffer.concat([...head, ...encodeSection("stage", asked.stage)]);
    const attempt = `start container ${asked.container.id} again`;
    return askPause(path, { attempt, type: pauseRequest.forkShim, payload, operations: asked.stage }, options);
  },
  info(path: string, options: CallOptions = {}): Promise<ShimReply> {
    return askPause(path, { attempt: "ask pause", type: pauseRequest.info, payload: nothing }, options);
  },
  /** Ends pause. `failed-precondition` while init lives. */
  async stop(path: string, options: CallOptions = {}): Promise<void> {
    await askPause(path, { attempt: "stop pause", type: pauseRequest.stop, payload: nothing }, options);
  },
};

async function askPause(path: string, asked: Call, options: CallOptions): Promise<ShimReply> {
  const signal = deadline(options);
  const connection = await FrameConnection.open(path, {}, { signal });
  try {
    return await call(connection, { ...asked, signal });
  } finally {
    connection.close();
  }
}

/** An exit record on disk, for when the shim is gone. */
export interface ExitRecord {
  readonly pid: number;
  readonly status: ExitStatus;
  readonly exitedAtNs: bigint;
  readonly oomKilled: boolean;
}

/** Reads `exit.json` (or an exec's) in a state directory; undefined when the process has not ended. */
export async function readExitRecord(stateDir: string, execId = ""): Promise<ExitRecord | undefined> {
  const path = join(stateDir, execId === "" ? "exit.json" : `exit-${execId}.json`);
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw during(`read ${path}`, error);
  });
  if (text === undefined) return undefined;
  const found = JSON.parse(text) as { pid: number; waitStatus: number; exitedAtNs: string; oomKilled: boolean };
  const status = exitStatusOf(found.waitStatus);
  return { pid: found.pid, status, exitedAtNs: BigInt(found.exitedAtNs), oomKilled: found.oomKilled };
}
