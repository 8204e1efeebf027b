/** A connection that travels as messages of a call: what `Control.Session` carries for clients that have no connection to give away. */
import { Duplex } from "node:stream";
import { Outgoing } from "../files/transfer/outgoing.ts";

interface Bytes {
  readonly data: Uint8Array;
}

/** Messages hold at most this much. */
const PIECE_BYTES = 32 * 1024;
/** Messages that the call has not taken yet; more wait. */
const MOST_WAITING = 64;

/** Lifecycle: new -> `connection` is used as a socket is, `outgoing` is what the call answers -> either side ends it; `signal` cuts it. */
export class Tunnel {
  readonly connection: Duplex;
  readonly #outgoing = new Outgoing<Bytes>();
  #taken: () => void = () => {};

  constructor(incoming: AsyncIterable<Bytes>, signal: AbortSignal) {
    const messages = incoming[Symbol.asyncIterator]();
    this.connection = new Duplex({
      read: () => void this.#pull(messages),
      write: (chunk: Buffer, _encoding, done) => this.#send(chunk, done),
      final: (done) => {
        this.#outgoing.end();
        done();
      },
      destroy: (error, done) => {
        this.#outgoing.end();
        this.#taken();
        done(error);
      },
    });
    const cut = (): void => void this.connection.destroy();
    signal.addEventListener("abort", cut, { once: true });
    this.connection.once("close", () => signal.removeEventListener("abort", cut));
    if (signal.aborted) cut();
  }

  async *outgoing(): AsyncGenerator<Bytes> {
    for await (const message of this.#outgoing) {
      yield message;
      if (this.#outgoing.length < MOST_WAITING) this.#taken();
    }
  }

  async #pull(messages: AsyncIterator<Bytes>): Promise<void> {
    try {
      const { done, value } = await messages.next();
      this.connection.push(done ? null : Buffer.from(value.data));
    } catch (error) {
      this.connection.destroy(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #send(chunk: Buffer, done: () => void): void {
    for (let at = 0; at < chunk.length; at += PIECE_BYTES)
      this.#outgoing.push({ data: chunk.subarray(at, at + PIECE_BYTES) });
    if (this.#outgoing.length < MOST_WAITING) {
      done();
      return;
    }
    this.#taken = () => {
      this.#taken = () => {};
      done();
    };
  }
}
