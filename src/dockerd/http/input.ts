/**
 * The bytes a connection received and nobody has taken yet. Reads the socket ahead by a bounded amount (so that a client that goes
 * away is noticed while its request is worked on) and pauses it beyond.
 * Lifecycle: new (listens) -> next/unshift ... -> release (stops listening; what is left goes to the new owner of the socket).
 */
import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import { readOn, stopReading } from "../../platform/paused-socket.ts";

const READ_AHEAD_BYTES = 256 * 1024;

export class Input {
  #chunks: Buffer[] = [];
  #bytes = 0;
  #ended = false;
  #wake: (() => void) | undefined;
  readonly #onGone: Array<() => void> = [];

  constructor(readonly socket: Socket) {
    socket.on("data", this.#receive);
    socket.on("end", this.#end);
    socket.on("close", this.#end);
    socket.on("error", this.#end);
  }

  /** Calls back when the peer has ended or cut the connection (at once when it has already). */
  onGone(callback: () => void): void {
    if (this.#ended) callback();
    else this.#onGone.push(callback);
  }

  offGone(callback: () => void): void {
    const at = this.#onGone.indexOf(callback);
    if (at >= 0) this.#onGone.splice(at, 1);
  }

  /** `next` would not wait. */
  get hasBytes(): boolean {
    return this.#chunks.length > 0;
  }

  /** The next bytes; undefined at the end of the connection. */
  async next(): Promise<Buffer | undefined> {
    while (this.#chunks.length === 0) {
      if (this.#ended) return undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const chunk = this.#chunks.shift()!;
    this.#bytes -= chunk.length;
    if (this.#bytes < READ_AHEAD_BYTES && this.socket.isPaused()) this.socket.resume();
    return chunk;
  }

  unshift(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#chunks.unshift(chunk);
    this.#bytes += chunk.length;
  }

  /** Reads no more until `attach`: another process does. What had been received and not taken is the caller's. */
  async detach(): Promise<Buffer> {
    await stopReading(this.socket);
    const head = Buffer.concat(this.#chunks);
    this.#chunks = [];
    this.#bytes = 0;
    return head;
  }

  attach(): void {
    readOn(this.socket);
  }

  /** Gives the socket away, paused; returns what had been read ahead of the new owner. */
  release(): { readonly head: Buffer; readonly ended: boolean } {
    this.socket.pause();
    this.socket.off("data", this.#receive).off("end", this.#end).off("close", this.#end).off("error", this.#end);
    this.#onGone.length = 0;
    const head = Buffer.concat(this.#chunks);
    this.#chunks = [];
    return { head, ended: this.#ended };
  }

  readonly #receive = (chunk: Buffer): void => {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes >= READ_AHEAD_BYTES) this.socket.pause();
    this.#wake?.();
  };

  readonly #end = (): void => {
    this.#ended = true;
    this.#wake?.();
    for (const callback of this.#onGone.splice(0)) callback();
  };
}
