/**
 * One life of `keel serve`: a child process with frames on its stdin and stdout.
 *
 * Lifecycle: the constructor starts it; `request` may be called until it ends, which rejects everything under way with `unavailable`
 * and calls `onEnd` once; `end` closes its stdin, which ends it.
 */
import type { Buffer } from "node:buffer";
import { type ChildProcess, spawn } from "node:child_process";
import { HullError } from "../platform/errors.ts";
import { encodeFrame, type Frame, FrameReader } from "./wire.ts";

const REPLY = 0x8000;

export interface CoprocessEvents {
  readonly onEvent: (frame: Frame) => void;
  readonly onEnd: (why: string) => void;
}

interface Waiting {
  readonly resolve: (frame: Frame) => void;
  readonly reject: (error: HullError) => void;
}

export class Coprocess {
  readonly #child: ChildProcess;
  readonly #events: CoprocessEvents;
  readonly #reader = new FrameReader();
  readonly #waiting = new Map<number, Waiting>();
  readonly ended: Promise<void>;
  #alive = true;

  constructor(keelPath: string, events: CoprocessEvents) {
    this.#events = events;
    this.#child = spawn(keelPath, ["serve"], { stdio: ["pipe", "pipe", "inherit"] });
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    const gone = (why: string) => {
      this.#onGone(why);
      resolve();
    };
    this.#child.once("error", (error) => gone(`keel serve can't run: ${error.message}`));
    this.#child.once("exit", (code, signal) =>
      gone(
        `keel serve ended (${signal ?? `exit code ${code}`}) in the middle of this, and is started again: try again`,
      ),
    );
    this.#child.stdout!.on("data", (chunk: Buffer) => this.#onData(chunk));
    this.#child.stdin!.on("error", () => undefined); // its end is reported by "exit"
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** Sends a frame and resolves with the reply of the same id. */
  request(type: number, id: number, payload: Uint8Array): Promise<Frame> {
    if (!this.#alive)
      return Promise.reject(new HullError("unavailable", "keel serve has ended and is being started again: try again"));
    const { promise, resolve, reject } = Promise.withResolvers<Frame>();
    this.#waiting.set(id, { resolve, reject });
    this.send(type, id, payload);
    return promise;
  }

  /** Sends a frame that has no reply. */
  send(type: number, id: number, payload: Uint8Array): void {
    if (this.#alive) this.#child.stdin!.write(encodeFrame(type, id, payload));
  }

  end(): void {
    this.#child.stdin!.end();
  }

  #onData(chunk: Buffer): void {
    try {
      for (const frame of this.#reader.push(chunk)) this.#onFrame(frame);
    } catch {
      this.#child.kill("SIGKILL"); // nothing that follows can be trusted
    }
  }

  #onFrame(frame: Frame): void {
    if (frame.type !== REPLY) {
      this.#events.onEvent(frame);
      return;
    }
    const waiting = this.#waiting.get(frame.id);
    this.#waiting.delete(frame.id);
    waiting?.resolve(frame);
  }

  #onGone(why: string): void {
    if (!this.#alive) return;
    this.#alive = false;
    for (const { reject } of this.#waiting.values()) reject(new HullError("unavailable", why));
    this.#waiting.clear();
    this.#events.onEnd(why);
  }
}
