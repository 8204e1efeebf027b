/**
 * A stream of frames to a shim or a pause: many requests at once, each with its own deadline.
 *
 * Lifecycle: `FrameConnection.open` connects; `request` may be called until `close` or until the peer goes, which fails every
 * request under way with `unavailable` and calls `onClose` once.
 */
import type { Buffer } from "node:buffer";
import { connect, type Socket } from "node:net";
import { HullError } from "../platform/errors.ts";
import { encodeFrame, type Frame, FrameReader } from "./wire.ts";

const REPLY = 0x8000;
/** Deadline of a request that brings no signal of its own. */
export const DEFAULT_DEADLINE_MS = 10_000;

export interface CallOptions {
  /** Abort gives up waiting; what was asked may still happen. */
  readonly signal?: AbortSignal;
}

export interface ConnectionEvents {
  readonly onEvent?: (frame: Frame) => void;
  readonly onClose?: () => void;
}

interface Waiting {
  readonly resolve: (frame: Frame) => void;
  readonly reject: (error: Error) => void;
}

/** Connects to a unix socket; rejects with `unavailable` when nobody listens. */
export function connectTo(path: string, signal?: AbortSignal): Promise<Socket> {
  const deadline = signal ?? AbortSignal.timeout(DEFAULT_DEADLINE_MS);
  return new Promise((resolve, reject) => {
    const socket = connect({ path, allowHalfOpen: true });
    const abandon = (error: unknown) => {
      deadline.removeEventListener("abort", aborted);
      socket.destroy();
      reject(new HullError("unavailable", `connect to ${path}: ${String(error)}`, { cause: error }));
    };
    const aborted = () => abandon(deadline.reason);
    if (deadline.aborted) return aborted();
    deadline.addEventListener("abort", aborted, { once: true });
    socket.once("error", abandon);
    socket.once("connect", () => {
      deadline.removeEventListener("abort", aborted);
      socket.off("error", abandon);
      resolve(socket);
    });
  });
}

export class FrameConnection {
  readonly #reader = new FrameReader();
  readonly #waiting = new Map<number, Waiting>();
  readonly #socket: Socket;
  readonly #path: string;
  readonly #events: ConnectionEvents;
  #nextId = 1;
  #closed = false;

  private constructor(socket: Socket, path: string, events: ConnectionEvents) {
    this.#socket = socket;
    this.#path = path;
    this.#events = events;
    socket.on("data", (chunk) => this.#onData(chunk));
    socket.on("error", () => this.#onGone());
    socket.on("end", () => this.#onGone());
    socket.on("close", () => this.#onGone());
  }

  static async open(path: string, events: ConnectionEvents = {}, options: CallOptions = {}): Promise<FrameConnection> {
    return new FrameConnection(await connectTo(path, options.signal), path, events);
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Sends one frame and resolves with its reply. `signal` undefined: no deadline. */
  request(
    type: number,
    payload: Uint8Array,
    options: { signal?: AbortSignal | undefined; flags?: number } = {},
  ): Promise<Frame> {
    if (this.#closed) return Promise.reject(this.#gone());
    const id = this.#nextId;
    this.#nextId = id === 0xffff_ffff ? 1 : id + 1;
    return new Promise((resolve, reject) => {
      const { signal } = options;
      const aborted = () => {
        this.#waiting.delete(id);
        reject(
          signal?.reason instanceof Error ? signal.reason : new HullError("cancelled", "the request was given up"),
        );
      };
      if (signal?.aborted) return aborted();
      signal?.addEventListener("abort", aborted, { once: true });
      const done = () => signal?.removeEventListener("abort", aborted);
      this.#waiting.set(id, {
        resolve: (frame) => {
          done();
          resolve(frame);
        },
        reject: (error) => {
          done();
          reject(error);
        },
      });
      this.#socket.write(encodeFrame(type, id, payload, options.flags));
    });
  }

  close(): void {
    this.#socket.destroy();
    this.#onGone();
  }

  #gone(): HullError {
    return new HullError("unavailable", `the connection to ${this.#path} is closed`);
  }

  #onData(chunk: Buffer): void {
    try {
      for (const frame of this.#reader.push(chunk)) this.#onFrame(frame);
    } catch {
      this.close(); // an oversized frame: nothing that follows can be trusted
    }
  }

  #onFrame(frame: Frame): void {
    if (frame.type !== REPLY) {
      this.#events.onEvent?.(frame);
      return;
    }
    const waiting = this.#waiting.get(frame.id);
    this.#waiting.delete(frame.id);
    waiting?.resolve(frame);
  }

  #onGone(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.destroy();
    for (const waiting of this.#waiting.values()) waiting.reject(this.#gone());
    this.#waiting.clear();
    this.#events.onClose?.();
  }
}
