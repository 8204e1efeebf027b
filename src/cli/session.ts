/**
 * One command's conversation with its engine: requests, errors in docker's words, and the trace that starts here.
 * Lifecycle: created when the command is known -> requests... -> close (hands the command's spans to the engine).
 */
import { type ErrorCode, HullError, httpStatusOf } from "../platform/errors.ts";
import {
  type HttpRequest,
  type HttpResponse,
  type RawStream,
  type RequestBody,
  send,
  tell,
  upgrade,
} from "../platform/http-client.ts";
import { nowMs } from "../trace/clock.ts";
import { formatTraceparent, newSpanId, newTraceId, type SpanContext } from "../trace/context.ts";
import type { SpanRecord } from "../trace/span.ts";
import { type EngineAddress, findEngine, type GlobalOptions } from "./engine-address.ts";

export const API_VERSION = "1.51";

export interface ApiCall {
  readonly method?: "GET" | "POST" | "PUT" | "DELETE" | "HEAD";
  /** Below the version: "/containers/json". */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;
  /** Sent as JSON unless it is bytes or a stream. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** See HttpRequest. */
  readonly ahead?: number;
  readonly signal?: AbortSignal;
}

export class Session {
  #address: EngineAddress | undefined;
  #version = process.env.DOCKER_API_VERSION ?? API_VERSION;
  #negotiated = process.env.DOCKER_API_VERSION !== undefined;
  readonly #root: SpanContext = { traceId: newTraceId(), spanId: newSpanId() };
  readonly #spans: SpanRecord[] = [];

  constructor(
    readonly options: GlobalOptions,
    /** The command's name, which is its trace's: "hull run". */
    readonly title: string,
  ) {}

  get address(): EngineAddress {
    this.#address ??= findEngine(this.options);
    return this.#address;
  }

  get traceId(): string {
    return this.#root.traceId;
  }

  /** The API version in use. */
  get apiVersion(): string {
    return this.#version;
  }

  /** Sends a call; throws what the engine answered unless its status is 1xx-3xx. */
  call(call: ApiCall): Promise<HttpResponse> {
    return this.#exchange(call, async (response) => response);
  }

  /** A call whose answer is one JSON value; its span lasts until the value is there. */
  json<T>(call: ApiCall): Promise<T> {
    return this.#exchange(call, async (response) => (await response.json()) as T);
  }

  async #exchange<T>(call: ApiCall, read: (response: HttpResponse) => Promise<T>): Promise<T> {
    const answer = await this.#timed(call, async (request) => {
      const response = await this.#reached(send(this.#endpoint(), request));
      return response.status < 400 ? { value: await read(response) } : { refused: response };
    });
    if ("value" in answer) return answer.value as T;
    const { status } = answer.refused;
    const text = await answer.refused.text();
    if (status === 400 && !this.#negotiated && text.includes("is too new")) {
      await this.#negotiate();
      return this.#exchange(call, read);
    }
    throw engineError(status, text);
  }

  /** A call that takes over the connection: attach, exec start. */
  async hijack(call: ApiCall): Promise<RawStream> {
    const stream = await this.#timed(call, (request) =>
      this.#reached(upgrade(this.#endpoint(), { ...request, body: String(request.body ?? "") })),
    );
    if (stream.status === 101 || stream.status === 200) return stream;
    const chunks: Uint8Array[] = [];
    for await (const chunk of stream.stream) chunks.push(chunk);
    throw engineError(stream.status, Buffer.concat(chunks).toString());
  }

  /** For what the engine does on connections that the session does not make itself. */
  get traceparent(): string {
    return formatTraceparent(this.#root);
  }

  /** A span of the command itself, from startMs to now. */
  span(name: string, startMs: number, attributes: Readonly<Record<string, string | number>> = {}): void {
    this.#record(
      { ...this.#root, spanId: newSpanId(), parentId: this.#root.spanId },
      { name, startMs, attributes, error: "" },
    );
  }

  /** Hands the spans to the engine. An engine that knows no traces (a real dockerd) answers 404: then there are none. */
  async close(error: string): Promise<void> {
    if (this.#spans.length === 0) return;
    this.#record(
      { ...this.#root, parentId: "" },
      { name: this.title, startMs: performance.timeOrigin, attributes: {}, error },
    );
    const headers = { "Content-Type": "application/json" };
    const request = { method: "POST", path: "/hull/v1/spans", headers, body: JSON.stringify(this.#spans) };
    await tell(this.#endpoint(), request).catch(() => undefined);
  }

  #endpoint(): EngineAddress["endpoint"] {
    return this.address.endpoint;
  }

  async #timed<T>(call: ApiCall, run: (request: HttpRequest) => Promise<T>): Promise<T> {
    // From the process's start to its first request: the runtime, our modules, the flags.
    if (this.#spans.length === 0) this.span("start the command", performance.timeOrigin);
    const spanId = newSpanId();
    const startMs = nowMs();
    const name = `${call.method ?? "GET"} ${call.path}`;
    let error = "";
    try {
      return await run(this.#request(call, spanId));
    } catch (thrown) {
      error = thrown instanceof Error ? thrown.message : String(thrown);
      throw thrown;
    } finally {
      this.#record(
        { traceId: this.#root.traceId, spanId, parentId: this.#root.spanId },
        { name, startMs, attributes: {}, error },
      );
    }
  }

  #record(
    ids: Pick<SpanRecord, "traceId" | "spanId" | "parentId">,
    span: Pick<SpanRecord, "name" | "startMs" | "attributes" | "error">,
  ): void {
    this.#spans.push({ ...ids, ...span, service: "hull", durationMs: nowMs() - span.startMs });
  }

  #request(call: ApiCall, spanId: string): HttpRequest {
    const { body } = call;
    const isStream = typeof body === "object" && body !== null && Symbol.asyncIterator in body;
    const raw = typeof body === "string" || body instanceof Uint8Array || isStream;
    const prefix = call.path.startsWith("/hull/") ? "" : `/v${this.#version}`;
    return {
      method: call.method ?? "GET",
      path: `${prefix}${call.path}${formatQuery(call.query)}`,
      headers: {
        "User-Agent": "hull",
        traceparent: formatTraceparent({ traceId: this.#root.traceId, spanId }),
        ...(body === undefined || isStream ? {} : { "Content-Type": "application/json" }),
        ...call.headers,
      },
      ...(body === undefined ? {} : { body: raw ? (body as RequestBody) : JSON.stringify(body) }),
      ...(call.ahead ? { ahead: call.ahead } : {}),
      ...(call.signal ? { signal: call.signal } : {}),
    };
  }

  async #negotiate(): Promise<void> {
    const response = await send(this.#endpoint(), { method: "GET", path: "/_ping" });
    this.#version = response.header("api-version") ?? this.#version;
    this.#negotiated = true;
  }

  /** Says in docker's words that no engine answered. */
  async #reached<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      if (!(error instanceof HullError) || error.code !== "unavailable") throw error;
      throw new HullError(
        "unavailable",
        `Cannot connect to the Docker daemon at ${this.address.host}. Is the docker daemon running?`,
        { cause: error },
      );
    }
  }
}

export function formatQuery(query: ApiCall["query"]): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value === undefined) continue;
    if (Array.isArray(value)) for (const item of value) parameters.append(name, item);
    else parameters.append(name, value === true ? "1" : value === false ? "0" : String(value));
  }
  const text = parameters.toString();
  return text === "" ? "" : `?${text}`;
}

/** An answer of status 4xx or 5xx as an error; its text is the engine's message. */
export function engineError(status: number, body: string): HullError {
  const code = (Object.entries(httpStatusOf).find(([, known]) => known === status)?.[0] ?? "internal") as ErrorCode;
  return new HullError(code, `Error response from daemon: ${messageIn(body)}`, { facts: { status } });
}

function messageIn(body: string): string {
  try {
    const parsed = JSON.parse(body) as { message?: unknown };
    if (typeof parsed.message === "string") return parsed.message;
  } catch {
    // Plain text, as old versions and proxies answer.
  }
  return body.trim();
}
