/**
 * A stream socket that speaks lines of JSON and frames: a frame is its length (4 bytes, big-endian) and its bytes; one of no bytes says that
 * what was sent is whole, which the end of a connection never does. At the pace of the slower side: received bytes are read ahead by a
 * bounded amount, and writes wait for the peer.
 *
 * Lifecycle: new (listens) -> readLine, readFrame, write... -> `release` (raw bytes from here on, the socket is the caller's) or disposal (cuts it).
 */
import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import { HullError } from "./errors.ts";

const READ_AHEAD_BYTES = 256 * 1024;
const MAX_LINE_BYTES = 4 * 1024 * 1024;
const MAX_FRAME_BYTES = 0x7fffffff;

export class FramedSocket implements Disposable {
  #chunks: Buffer[] = [];
  #bytes = 0;
  #ended = false;
  #wake: (() => void) | undefined;
  /** Bytes of the frame in hand that are not read yet. */
  #left = 0;
  readonly #gone = new AbortController();

  constructor(
    readonly socket: Socket,
    /** Who is on the other end, for errors. */
    private readonly peer: string,
  ) {
    socket.on("data", this.#receive);
    socket.on("end", this.#end);
    socket.on("close", this.#end);
    socket.on("error", this.#end);
    if (socket.isPaused()) socket.resume();
  }

  /** Aborted when the peer has gone. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** The first bytes, at least `count` of them unless the connection ends before; they stay unread. */
  async peek(count: number): Promise<Buffer> {
    while (this.#bytes < count && !this.#ended) await this.#more();
    return this.#joined();
  }

  /** The next line as a value; undefined when the connection ends before its first byte. Throws invalid-argument and unavailable. */
  async readLine(): Promise<unknown> {
    for (;;) {
      const seen = this.#joined();
      const end = seen.indexOf(10);
      if (end >= 0) {
        this.#take(end + 1);
        return parseLine(seen.toString("utf8", 0, end));
      }
      if (seen.length > MAX_LINE_BYTES)
        throw new HullError("invalid-argument", `${this.peer}: a line of JSON is too long`);
      if (this.#ended && seen.length === 0) return undefined;
      if (this.#ended) throw this.#cut();
      await this.#more();
    }
  }

  /** The next bytes of what the peer sends in frames; undefined at its whole end. Throws unavailable when it is cut before. */
  async read(): Promise<Buffer | undefined> {
    if (this.#left === 0) {
      while (this.#bytes < 4) await this.#need();
      const first = this.#chunks[0]!;
      this.#left = (first.length < 4 ? this.#joined() : first).readUInt32BE(0);
      this.#take(4);
      if (this.#left === 0) return undefined;
      if (this.#left > MAX_FRAME_BYTES) throw new HullError("invalid-argument", `${this.peer}: a malformed frame`);
    }
    while (this.#chunks.length === 0) await this.#need();
    const piece = this.#chunks[0]!.subarray(0, this.#left);
    this.#take(piece.length);
    this.#left -= piece.length;
    return piece;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    for (let piece = await this.read(); piece; piece = await this.read()) yield piece;
  }

  writeLine(value: unknown): Promise<void> {
    return this.#write([Buffer.from(`${JSON.stringify(value)}\n`)]);
  }

  /** Waits while the peer is slow. Throws unavailable when it has gone. */
  async write(bytes: Uint8Array): Promise<void> {
    if (bytes.length === 0) return;
    const head = Buffer.alloc(4);
    head.writeUInt32BE(bytes.length);
    await this.#write([head, bytes]);
  }

  /** What was written is whole. */
  writeEnd(): Promise<void> {
    return this.#write([Buffer.alloc(4)]);
  }

  /** Gives the socket away, paused, with what had been read ahead of its new owner. */
  release(): { readonly socket: Socket; readonly head: Buffer } {
    const { socket } = this;
    socket.pause();
    socket.off("data", this.#receive).off("end", this.#end).off("close", this.#end).off("error", this.#end);
    const head = this.#joined();
    this.#chunks = [];
    this.#bytes = 0;
    return { socket, head };
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }

  async #write(parts: readonly Uint8Array[]): Promise<void> {
    const { socket } = this;
    if (socket.destroyed || !socket.writable || this.#gone.signal.aborted) throw this.#cut();
    let flows = true;
    for (const part of parts) flows = socket.write(part);
    if (!flows) await this.#drained();
  }

  #drained(): Promise<void> {
    const { socket } = this;
    return new Promise((resolve, reject) => {
      const settle = (settled: () => void) => () => {
        socket.off("drain", onDrain).off("close", onClose);
        settled();
      };
      const onDrain = settle(resolve);
      const onClose = settle(() => reject(this.#cut()));
      socket.once("drain", onDrain).once("close", onClose);
      if (socket.destroyed) onClose();
    });
  }

  async #need(): Promise<void> {
    if (this.#ended) throw this.#cut();
    await this.#more();
  }

  async #more(): Promise<void> {
    if (this.#ended) return;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  }

  #joined(): Buffer {
    if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0] ?? Buffer.alloc(0);
  }

  /** Drops the first bytes. */
  #take(count: number): void {
    this.#bytes -= count;
    for (let left = count; left > 0; ) {
      const first = this.#chunks[0]!;
      if (first.length > left) this.#chunks[0] = first.subarray(left);
      else this.#chunks.shift();
      left -= Math.min(left, first.length);
    }
    if (this.#bytes < READ_AHEAD_BYTES && this.socket.isPaused()) this.socket.resume();
  }

  readonly #receive = (chunk: Buffer): void => {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes >= READ_AHEAD_BYTES) this.socket.pause();
    this.#wake?.();
  };

  readonly #end = (): void => {
    if (this.#ended) return;
    this.#ended = true;
    this.#wake?.();
    this.#gone.abort(this.#cut());
  };

  #cut(): HullError {
    return new HullError("unavailable", `${this.peer} has closed the connection`);
  }
}

function parseLine(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new HullError("invalid-argument", "a line that is no JSON", { cause: error });
  }
}
