/** Serves the requests of one connection, one after the other, until it ends, is cut or is taken over. */
import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import { HullError, messageOf } from "../../platform/errors.ts";
import { readOn } from "../../platform/paused-socket.ts";
import { RequestBody } from "./body.ts";
import { MAX_HEAD_BYTES, parseHead, type RequestHead } from "./head.ts";
import { Input } from "./input.ts";
import { ApiResponse } from "./response.ts";

/** What follows the head of a request; resolves when it has been answered (or taken over). */
export type Respond = (exchange: Exchange) => Promise<void>;

export interface Exchange {
  readonly head: RequestHead;
  readonly body: RequestBody;
  readonly response: ApiResponse;
  readonly signal: AbortSignal;
}

export interface ConnectionOptions {
  readonly respond: Respond;
  /** Headers of every answer. */
  readonly common: Readonly<Record<string, string>>;
}

/** Unwanted body bytes that are read so that the connection can be kept. */
const DRAIN_BYTES = 256 * 1024;
/** How long a client may go on sending after its request was refused. */
const LINGER_MS = 5_000;

export async function serveConnection(socket: Socket, options: ConnectionOptions): Promise<void> {
  const input = new Input(socket);
  socket.on("error", () => {}); // A cut connection: `gone` handlers of Input act on it.
  while (await serveOne(input, options));
}

/** True when another request may follow. */
async function serveOne(input: Input, options: ConnectionOptions): Promise<boolean> {
  let head: RequestHead | undefined;
  try {
    head = await readHead(input);
  } catch (error) {
    refuse(input, error, options);
    return false;
  }
  if (!head) {
    input.socket.end();
    return false;
  }
  return exchange(input, head, options);
}

async function exchange(input: Input, head: RequestHead, options: ConnectionOptions): Promise<boolean> {
  const gone = new AbortController();
  const onGone = () => gone.abort();
  input.onGone(onGone);
  const body = new RequestBody(input, head.body, () => {
    if (head.headers.get("expect")?.toLowerCase() === "100-continue")
      input.socket.write("HTTP/1.1 100 Continue\r\n\r\n");
  });
  const response = new ApiResponse(input, head, options.common);
  await options.respond({ head, body, response, signal: gone.signal });
  input.offGone(onGone);
  if (response.hijacked) return false;
  const kept = response.finish() && (await drained(body));
  if (!kept) closeLingering(input);
  return kept;
}

/** Ends our side; what the client still sends is read and dropped for a while, so that it gets to see the answer. */
function closeLingering(input: Input): void {
  const { socket } = input;
  input.release();
  socket.on("data", () => {});
  readOn(socket);
  socket.end();
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  timer.unref();
  socket.once("close", () => clearTimeout(timer));
}

async function drained(body: RequestBody): Promise<boolean> {
  try {
    return await body.drain(DRAIN_BYTES);
  } catch {
    return false; // The client cut its request; its answer has been sent.
  }
}

/** The next head; undefined when the connection ends between requests. Throws for malformed and oversized heads. */
async function readHead(input: Input): Promise<RequestHead | undefined> {
  let seen: Buffer = Buffer.alloc(0);
  for (;;) {
    const chunk = await input.next();
    if (!chunk) {
      if (seen.length > 0) throw new HullError("invalid-argument", "unexpected EOF");
      return undefined;
    }
    const searchFrom = Math.max(0, seen.length - 3);
    seen = seen.length === 0 ? withoutLeadingEmptyLines(chunk) : Buffer.concat([seen, chunk]);
    const end = headEnd(seen, searchFrom);
    if ((end?.start ?? seen.length) > MAX_HEAD_BYTES) throw tooLarge();
    if (!end) continue;
    input.unshift(seen.subarray(end.next));
    return parseHead(seen.subarray(0, end.start));
  }
}

function withoutLeadingEmptyLines(chunk: Buffer): Buffer {
  let at = 0;
  while (chunk[at] === 13 || chunk[at] === 10) at++;
  return chunk.subarray(at);
}

function headEnd(bytes: Buffer, from: number): { readonly start: number; readonly next: number } | undefined {
  const crlf = bytes.indexOf("\r\n\r\n", from);
  const lf = bytes.indexOf("\n\n", from);
  if (crlf >= 0 && (lf < 0 || crlf < lf)) return { start: crlf, next: crlf + 4 };
  return lf >= 0 ? { start: lf, next: lf + 2 } : undefined;
}

const tooLarge = (): HullError =>
  new HullError("invalid-argument", "Request Header Fields Too Large", { facts: { httpStatus: 431 } });

/** Answers a head that could not be parsed and closes. */
function refuse(input: Input, error: unknown, options: ConnectionOptions): void {
  const status = error instanceof HullError && error.facts.httpStatus === 431 ? 431 : 400;
  const response = new ApiResponse(
    input,
    { method: "GET", minor: 1, keepAlive: false, headers: new Map() },
    options.common,
  );
  if (!input.socket.destroyed) response.text(status, `${status} ${messageOf(error)}\n`);
  closeLingering(input);
}
