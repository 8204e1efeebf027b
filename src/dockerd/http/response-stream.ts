/** A response body written piece by piece, flushed at each write, with back-pressure. */
import { Buffer } from "node:buffer";
import { HullError } from "../../platform/errors.ts";
import type { Input } from "./input.ts";

export interface StreamOptions {
  readonly chunked: boolean;
  /** HEAD: the body is not sent. */
  readonly discard: boolean;
}

export class ResponseStream {
  #ended = false;

  constructor(
    private readonly input: Input,
    private readonly options: StreamOptions,
  ) {}

  /** Writes and waits while the client is slow. Throws `cancelled` when the client has gone. */
  async write(bytes: Uint8Array | string): Promise<void> {
    const data = typeof bytes === "string" ? Buffer.from(bytes) : bytes;
    if (this.#ended || data.length === 0 || this.options.discard) return;
    const { socket } = this.input;
    if (socket.destroyed || !socket.writable) throw gone();
    const framed = this.options.chunked
      ? Buffer.concat([Buffer.from(`${data.length.toString(16)}\r\n`), data, Buffer.from("\r\n")])
      : data;
    if (!socket.write(framed)) await this.#drained();
  }

  /** One JSON value and a CRLF-free newline, as Docker's streams have it. */
  async line(value: unknown): Promise<void> {
    await this.write(`${JSON.stringify(value)}\n`);
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.options.chunked && !this.options.discard && this.input.socket.writable)
      this.input.socket.write("0\r\n\r\n");
  }

  #drained(): Promise<void> {
    const { socket } = this.input;
    return new Promise((resolve, reject) => {
      const settle = (settled: () => void) => () => {
        socket.off("drain", onDrain).off("close", onClose).off("error", onClose);
        settled();
      };
      const onDrain = settle(resolve);
      const onClose = settle(() => reject(gone()));
      socket.once("drain", onDrain).once("close", onClose).once("error", onClose);
    });
  }
}

const gone = (): HullError => new HullError("cancelled", "the client has gone");
