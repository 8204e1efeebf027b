/**
 * HTTP/1.1 requests over a unix socket or TCP (RFC 9112): what the commands need of it, on `ByteStream`. `node:http` costs a command
 * 14 ms of its start, the runtime's fetch a thread of its own. Idle connections are kept for the next requests, and more are opened ahead where a
 * request says that others will follow.
 */
import { ByteStream, type Endpoint } from "./byte-stream.ts";
import { HullError } from "./errors.ts";
import { HttpResponse, readHead } from "./http-response.ts";

export type { Endpoint, TlsFiles } from "./byte-stream.ts";
export { HttpResponse } from "./http-response.ts";

export type RequestBody = string | Uint8Array | AsyncIterable<Uint8Array>;

export interface HttpRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: RequestBody;
  /** How many connections the requests after this one will need besides its own: opened while its answer is awaited. */
  readonly ahead?: number;
  /** Abort closes the connection; what was asked may still happen. */
  readonly signal?: AbortSignal;
}

const encoder = new TextEncoder();
const lineEnd = encoder.encode("\r\n");
const idle = new Map<string, ByteStream[]>();
/** Per endpoint. */
const MOST_IDLE = 3;

const keyOf = (endpoint: Endpoint): string =>
  endpoint.kind === "unix" ? endpoint.path : `${endpoint.host}:${endpoint.port}`;

/** Sends a request; the response's body may be read as a stream. Throws `unavailable` when nothing answers. */
export async function send(endpoint: Endpoint, request: HttpRequest): Promise<HttpResponse> {
  const { signal } = request;
  try {
    return await sendOnce(endpoint, request);
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    const why = error instanceof Error ? error.message : String(error);
    throw new HullError("unavailable", `${request.method} ${request.path}: ${why}`, { cause: error });
  }
}

async function sendOnce(endpoint: Endpoint, request: HttpRequest): Promise<HttpResponse> {
  const kept = takeIdle(endpoint);
  if (kept) {
    try {
      return await exchange(kept, endpoint, request);
    } catch (error) {
      // The engine may have closed it while it was idle, or died after it had done what was asked: only reading is asked again.
      if (request.signal?.aborted || !["GET", "HEAD"].includes(request.method)) throw error;
    }
  }
  return exchange(await ByteStream.open(endpoint), endpoint, request);
}

function takeIdle(endpoint: Endpoint): ByteStream | undefined {
  const waiting = idle.get(keyOf(endpoint)) ?? [];
  for (let stream = waiting.pop(); stream; stream = waiting.pop()) {
    if (!stream.isOpen) continue;
    stream.setIdle(false);
    return stream;
  }
  return undefined;
}

function keepIdle(endpoint: Endpoint, stream: ByteStream): void {
  stream.setIdle(true);
  const waiting = idle.get(keyOf(endpoint));
  if (waiting) waiting.push(stream);
  else idle.set(keyOf(endpoint), [stream]);
}

/** One that can't be opened is left to the request that needs it, which says why. */
function openAhead(endpoint: Endpoint, count: number): void {
  for (let i = 0; i < count; i++)
    ByteStream.open(endpoint).then(
      (stream) => keepIdle(endpoint, stream),
      () => undefined,
    );
}

const isStream = (body: RequestBody | undefined): body is AsyncIterable<Uint8Array> =>
  body !== undefined && typeof body !== "string" && !(body instanceof Uint8Array);

/** One request and its answer on a connection, which is kept or closed once the answer's body has been read. */
async function exchange(stream: ByteStream, endpoint: Endpoint, request: HttpRequest): Promise<HttpResponse> {
  const { signal, body } = request;
  const aborted = () => stream[Symbol.dispose]();
  if (signal?.aborted) {
    aborted();
    throw signal.reason;
  }
  signal?.addEventListener("abort", aborted, { once: true });
  const done = (isReusable: boolean) => {
    signal?.removeEventListener("abort", aborted);
    if (isReusable && (idle.get(keyOf(endpoint))?.length ?? 0) < MOST_IDLE) keepIdle(endpoint, stream);
    else stream[Symbol.dispose]();
  };
  const upload = new Upload(stream);
  try {
    await stream.write(headOf(request, isStream(body) ? { "Transfer-Encoding": "chunked" } : lengthOf(request)));
    if (isStream(body)) upload.begin(body);
    openAhead(endpoint, request.ahead ?? 0);
    const head = await readHead(stream);
    // An engine that refuses answers before it has read everything: the rest is not sent.
    const { isOver } = upload;
    return new HttpResponse({ head, stream, method: request.method, done: (reusable) => done(reusable && isOver) });
  } catch (error) {
    signal?.removeEventListener("abort", aborted);
    stream[Symbol.dispose]();
    throw upload.failure ?? error;
  }
}

function lengthOf({ method, body }: HttpRequest): Record<string, string> {
  if (body === undefined && (method === "GET" || method === "HEAD")) return {};
  return { "Content-Length": String(bytesOf(body).length) };
}

const bytesOf = (body: RequestBody | undefined): Uint8Array =>
  typeof body === "string" ? encoder.encode(body) : body instanceof Uint8Array ? body : new Uint8Array();

/** Head and, where it is there already, the body: one write. */
function headOf(request: HttpRequest, framing: Readonly<Record<string, string>>): Uint8Array {
  const headers = { Host: "docker", ...framing, ...request.headers };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = encoder.encode(`${request.method} ${request.path} HTTP/1.1\r\n${lines.join("")}\r\n`);
  const body = bytesOf(request.body);
  if (body.length === 0) return head;
  const both = new Uint8Array(head.length + body.length);
  both.set(head);
  both.set(body, head.length);
  return both;
}

/** A body in chunks, sent while the answer is awaited. */
class Upload {
  /** Nothing is left to send. */
  isOver = true;
  /** What reading the body threw: the request is given up with it. */
  failure: unknown;

  constructor(private readonly stream: ByteStream) {}

  begin(body: AsyncIterable<Uint8Array>): void {
    this.isOver = false;
    this.#send(body).catch((error: unknown) => {
      this.failure = error;
      this.stream[Symbol.dispose]();
    });
  }

  async #send(body: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const bytes of body) {
      if (bytes.length > 0 && !(await this.#put(`${bytes.length.toString(16)}\r\n`, bytes))) return;
    }
    this.isOver = await this.#put("0\r\n", new Uint8Array());
  }

  /** False when the engine takes no more: its answer, if any, says why. */
  async #put(head: string, bytes: Uint8Array): Promise<boolean> {
    try {
      await this.stream.write(encoder.encode(head));
      await this.stream.write(bytes);
      await this.stream.write(lineEnd);
      return true;
    } catch {
      return false;
    }
  }
}

export interface RawStream {
  /** Half-closable; bytes that came with the response's head are already back in it. */
  readonly stream: ByteStream;
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
}

/** Sends a request that the server answers with 101 (or a raw 200) and hands over the connection. */
export async function upgrade(
  endpoint: Endpoint,
  request: HttpRequest & { readonly body?: string },
): Promise<RawStream> {
  const stream = takeIdle(endpoint) ?? (await ByteStream.open(endpoint));
  const length = String(bytesOf(request.body).length);
  await stream.write(headOf(request, { Connection: "Upgrade", Upgrade: "tcp", "Content-Length": length }));
  const { status, headers } = await readHead(stream);
  return { stream, status, headers };
}

/** Sends a request whose answer is of no interest, and does not wait for it: on a unix socket what was written is read. */
export async function tell(endpoint: Endpoint, request: HttpRequest): Promise<void> {
  if (endpoint.kind === "tcp") {
    await (await send(endpoint, request)).text();
    return;
  }
  const stream = takeIdle(endpoint) ?? (await ByteStream.open(endpoint));
  await stream.write(headOf(request, { ...lengthOf(request), Connection: "close" }));
  stream.end();
  stream.setIdle(true);
}
