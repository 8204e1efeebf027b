/** The body of one request as chunks: exactly Content-Length bytes, or chunked coding decoded (RFC 9112 section 7.1). */
import { Buffer } from "node:buffer";
import { HullError } from "../../platform/errors.ts";
import { descriptorOf } from "../../platform/paused-socket.ts";
import type { BodyFraming } from "./head.ts";
import type { Input } from "./input.ts";

const MAX_LINE_BYTES = 8 * 1024;

export class RequestBody implements AsyncIterable<Buffer> {
  #finished: boolean;
  #started = false;
  /** Another process has read of it: where the next request begins is not known here. */
  #lost = false;
  readonly #chunks: AsyncGenerator<Buffer>;

  /** `onFirstRead` runs before the first wait for bytes (100 Continue). */
  constructor(
    private readonly input: Input,
    readonly framing: BodyFraming,
    private readonly onFirstRead: () => void,
  ) {
    this.#finished = framing.kind === "length" && framing.bytes === 0;
    this.#chunks = framing.kind === "length" ? this.#exactly(framing.bytes) : this.#chunked();
  }

  /** True when the request carries no body at all. */
  get isEmpty(): boolean {
    return this.framing.kind === "length" && this.framing.bytes === 0;
  }

  /** Bytes have been received that were not read yet: of this body, unless it is over. */
  get hasMore(): boolean {
    return this.input.hasBytes;
  }

  get finished(): boolean {
    return this.#finished;
  }

  /** Where another process of this machine could read it: the connection's descriptor. Undefined: it can't. */
  get descriptor(): number | undefined {
    return this.#started || this.#finished ? undefined : descriptorOf(this.input.socket);
  }

  /** How the body begins, of which nothing is taken: `length` bytes, or fewer where it ends or its coding is damaged. */
  async begin(length: number): Promise<Buffer> {
    let received: Buffer = Buffer.alloc(0);
    let begin = this.#beginIn(received);
    while (begin.bytes.length < Math.min(length, begin.most) && received.length <= MAX_LINE_BYTES) {
      const chunk = await this.input.next();
      if (!chunk) break;
      received = Buffer.concat([received, chunk]);
      begin = this.#beginIn(received);
    }
    this.input.unshift(received);
    return begin.bytes.subarray(0, Math.min(length, begin.most));
  }

  /** What is here of the body, or of its first chunk, and how much there can be. */
  #beginIn(received: Buffer): { readonly bytes: Buffer; readonly most: number } {
    if (this.framing.kind === "length") return { bytes: received, most: this.framing.bytes };
    const line = received.indexOf(10);
    if (line < 0) return { bytes: received.subarray(0, 0), most: Number.POSITIVE_INFINITY };
    const size = Number.parseInt(received.toString("latin1", 0, line), 16);
    return { bytes: received.subarray(line + 1), most: Number.isNaN(size) ? 0 : size };
  }

  /** From now on another process reads the connection, until `attach`. Answers what has been received of the body, in its coding. */
  detach(): Promise<Buffer> {
    if (!this.#started) this.onFirstRead();
    this.#started = true;
    this.#lost = true;
    return this.input.detach();
  }

  /** The other process is done. `whole`: it has read to the end of the body and not behind it. */
  attach({ whole }: { readonly whole: boolean }): void {
    this.#lost = !whole;
    this.#finished = whole;
    this.input.attach();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    for (let chunk = await this.read(); chunk; chunk = await this.read()) yield chunk;
  }

  /** The next bytes; undefined at the end. Throws invalid-argument when the connection ends before the body does. */
  async read(): Promise<Buffer | undefined> {
    if (this.#finished) return undefined;
    if (this.#lost) throw new HullError("internal", "the body was read by another process");
    if (!this.#started) this.onFirstRead();
    this.#started = true;
    const { value, done } = await this.#chunks.next();
    if (done) this.#finished = true;
    return done ? undefined : value;
  }

  /** Everything, at most `limit` bytes; more is `invalid-argument`. */
  async bytes(limit: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    let size = 0;
    for await (const part of this) {
      size += part.length;
      if (size > limit)
        throw new HullError("invalid-argument", `http: request body too large (at most ${limit} bytes)`);
      parts.push(part);
    }
    return Buffer.concat(parts);
  }

  /** Throws away at most `limit` bytes that the handler did not want; false when there is more. */
  async drain(limit: number): Promise<boolean> {
    if (this.#lost) return false;
    if (!this.#started && this.framing.kind === "length" && this.framing.bytes > limit) return false;
    let left = limit;
    while (left >= 0) {
      const chunk = await this.read();
      if (!chunk) return true;
      left -= chunk.length;
    }
    return false;
  }

  async *#chunked(): AsyncGenerator<Buffer> {
    for (;;) {
      const line = (await this.#line()).split(";")[0]!.trim();
      if (!/^[0-9a-fA-F]{1,12}$/.test(line)) throw new HullError("invalid-argument", "malformed chunked encoding");
      const size = Number.parseInt(line, 16);
      if (size === 0) break;
      yield* this.#exactly(size);
      if ((await this.#line()) !== "") throw new HullError("invalid-argument", "malformed chunked encoding");
    }
    while ((await this.#line()) !== "");
  }

  async *#exactly(length: number): AsyncGenerator<Buffer> {
    for (let left = length; left > 0; ) {
      const chunk = await this.#next();
      const taken = chunk.subarray(0, left);
      this.input.unshift(chunk.subarray(taken.length));
      left -= taken.length;
      yield taken;
    }
  }

  async #line(): Promise<string> {
    let seen: Buffer = Buffer.alloc(0);
    for (;;) {
      const end = seen.indexOf(10);
      if (end >= 0) {
        this.input.unshift(seen.subarray(end + 1));
        return seen.toString("latin1", 0, end).replace(/\r$/, "");
      }
      if (seen.length > MAX_LINE_BYTES) throw new HullError("invalid-argument", "malformed chunked encoding");
      const chunk = await this.#next();
      // As it is, where it can be: clients send pieces of a few hundred bytes, and what follows the line is not copied for each.
      seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
    }
  }

  async #next(): Promise<Buffer> {
    const chunk = await this.input.next();
    if (!chunk) throw new HullError("invalid-argument", "unexpected EOF");
    return chunk;
  }
}
