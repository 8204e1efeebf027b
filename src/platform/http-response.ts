/** An HTTP/1.1 answer: its head, and its body by length, in chunks, or to the connection's end. */
import type { ByteStream } from "./byte-stream.ts";
import { HullError } from "./errors.ts";

export interface ResponseHead {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
}

const decoder = new TextDecoder();
const MAX_HEAD_BYTES = 1024 * 1024;

/** Reads up to the empty line; what comes behind it goes back into the stream. Interim answers (100) are skipped. */
export async function readHead(stream: ByteStream): Promise<ResponseHead> {
  for (;;) {
    const head = await readOneHead(stream);
    if (head.status >= 200 || head.status === 101) return head;
  }
}

async function readOneHead(stream: ByteStream): Promise<ResponseHead> {
  let seen = new Uint8Array();
  for (;;) {
    const bytes = await stream.read();
    if (bytes === undefined) throw new HullError("unavailable", "the engine closed the connection before it answered");
    seen = joined(seen, bytes);
    const end = endOfHead(seen);
    if (end < 0 && seen.length > MAX_HEAD_BYTES)
      throw new HullError("internal", "the engine's answer has more than 1 MiB of headers");
    if (end < 0) continue;
    stream.unread(seen.subarray(end + 4));
    const [first = "", ...lines] = decoder.decode(seen.subarray(0, end)).split("\r\n");
    return { status: Number(first.split(" ")[1]), headers: new Map(lines.map(splitHeader)) };
  }
}

function endOfHead(bytes: Uint8Array): number {
  for (let at = bytes.indexOf(13); at >= 0; at = bytes.indexOf(13, at + 1)) {
    if (bytes[at + 1] === 10 && bytes[at + 2] === 13 && bytes[at + 3] === 10) return at;
  }
  return -1;
}

function splitHeader(line: string): [string, string] {
  const colon = line.indexOf(":");
  return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
}

function joined(left: Uint8Array, right: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(left.length + right.length);
  both.set(left);
  both.set(right, left.length);
  return both;
}

interface ResponseParts {
  readonly head: ResponseHead;
  readonly stream: ByteStream;
  readonly method: string;
  /** Told once, when the body has been read or given up: whether the connection may carry another request. */
  readonly done: (isReusable: boolean) => void;
}

export class HttpResponse {
  readonly #parts: ResponseParts;
  #isRead = false;

  constructor(parts: ResponseParts) {
    this.#parts = parts;
    if (this.#length() === 0) this.#finish(true);
  }

  get status(): number {
    return this.#parts.head.status;
  }

  get ok(): boolean {
    return this.status >= 200 && this.status < 300;
  }

  /** By name in lower case. */
  header(name: string): string | undefined {
    return this.#parts.head.headers.get(name);
  }

  /** The body as it comes; once. Leaving it early closes the connection. */
  get body(): AsyncIterable<Uint8Array> {
    return this.#pieces();
  }

  async text(): Promise<string> {
    const streaming = new TextDecoder();
    let text = "";
    for await (const bytes of this.#pieces()) text += streaming.decode(bytes, { stream: true });
    return text + streaming.decode();
  }

  async json(): Promise<unknown> {
    return JSON.parse(await this.text());
  }

  /** undefined: in chunks, or to the connection's end. */
  #length(): number | undefined {
    if (this.#parts.method === "HEAD" || this.status === 204 || this.status === 304) return 0;
    const length = this.header("content-length");
    return length === undefined ? undefined : Number(length);
  }

  #finish(isReusable: boolean): void {
    if (this.#isRead) return;
    this.#isRead = true;
    this.#parts.done(isReusable && this.header("connection")?.toLowerCase() !== "close");
  }

  async *#pieces(): AsyncGenerator<Uint8Array> {
    if (this.#isRead) return;
    const { stream } = this.#parts;
    const length = this.#length();
    let isWhole = false;
    try {
      if (length !== undefined) yield* exactly(stream, length);
      else if (/\bchunked\b/i.test(this.header("transfer-encoding") ?? "")) yield* chunks(stream);
      else yield* stream;
      isWhole = length !== undefined || this.header("transfer-encoding") !== undefined;
    } finally {
      this.#finish(isWhole);
    }
  }
}

const cutShort = (): HullError => new HullError("unavailable", "the engine's answer was cut short");

async function* exactly(stream: ByteStream, length: number): AsyncGenerator<Uint8Array> {
  for (let left = length; left > 0; ) {
    const bytes = await stream.read();
    if (bytes === undefined) throw cutShort();
    const mine = bytes.subarray(0, left);
    stream.unread(bytes.subarray(mine.length));
    left -= mine.length;
    yield mine;
  }
}

async function* chunks(stream: ByteStream): AsyncGenerator<Uint8Array> {
  for (;;) {
    const size = Number.parseInt(await line(stream), 16);
    if (Number.isNaN(size)) throw new HullError("internal", "the engine's answer has a malformed chunk");
    if (size === 0) break;
    yield* exactly(stream, size);
    await line(stream);
  }
  // Trailers, up to the empty line.
  while ((await line(stream)) !== "");
}

/** Up to the next CRLF, without it. */
async function line(stream: ByteStream): Promise<string> {
  let seen = new Uint8Array();
  for (;;) {
    const bytes = await stream.read();
    if (bytes === undefined) throw cutShort();
    seen = joined(seen, bytes);
    const end = seen.indexOf(10);
    if (end < 0) continue;
    stream.unread(seen.subarray(end + 1));
    return decoder.decode(seen.subarray(0, end)).trimEnd();
  }
}
