/**
 * connectrpc's Transport as gRPC over one kept HTTP/2 connection. Lifecycle: the first call dials; a connection
 * that broke fails the calls on it with `unavailable` and the next call dials again; disposal closes it. Failures are HullErrors.
 */
import http2 from "node:http2";
import type { Duplex } from "node:stream";
import {
  create,
  type DescMessage,
  type DescMethod,
  type DescMethodStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import type { StreamResponse, Transport, UnaryResponse } from "@connectrpc/connect";
import { HullError } from "../errors.ts";
import { codeOfAnswer, cutOff, DETAILS_FACT } from "./call-failure.ts";
import { decodeStatusMessage, encodeMessage, formatTimeout, MessageReader } from "./frames.ts";

type CallHeaders = ConstructorParameters<typeof Headers>[0];
type Trailers = Readonly<Record<string, string | string[] | number | undefined>>;

const CANCEL = 8;

export interface GrpcTransportOptions {
  /** A new connection; throws where there can be none any more. */
  readonly dial: () => Duplex;
  /** Who answers there, for messages. */
  readonly peer: string;
  /** Of every call. */
  readonly headers: Readonly<Record<string, string>>;
}

export class GrpcTransport implements Transport, AsyncDisposable {
  #session: http2.ClientHttp2Session | undefined;

  constructor(private readonly options: GrpcTransportOptions) {}

  async unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: CallHeaders,
    input: MessageInitShape<I>,
  ): Promise<UnaryResponse<I, O>> {
    const exchange = this.#open({ method, signal, timeoutMs, headers: Object.fromEntries(new Headers(header)) });
    exchange.stream.end(encodeMessage(toBinary(method.input, create(method.input, input))));
    let message: MessageShape<O> | undefined;
    for await (const bytes of exchange.messages()) message ??= fromBinary(method.output, bytes);
    if (message === undefined) throw new HullError("unavailable", `${method.name}: the answer is empty`);
    const none = new Headers();
    return { stream: false, service: method.parent, method, header: none, trailer: none, message };
  }

  async stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: CallHeaders,
    input: AsyncIterable<MessageInitShape<I>>,
  ): Promise<StreamResponse<I, O>> {
    const message = this.converse(
      method,
      { signal, timeoutMs, headers: Object.fromEntries(new Headers(header)) },
      input,
    );
    const none = new Headers();
    return { stream: true, service: method.parent, method, header: none, trailer: none, message };
  }

  /** A stream of messages both ways, with headers that may have several values each, which `Headers` would join. Leaving it early cancels the call. */
  converse<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    options: ConverseOptions,
    input: AsyncIterable<MessageInitShape<I>>,
  ): AsyncGenerator<MessageShape<O>> {
    const exchange = this.#open({ method, ...options });
    void send(exchange, method.input, input);
    const decoded = async function* (): AsyncGenerator<MessageShape<O>> {
      for await (const bytes of exchange.messages()) yield fromBinary(method.output, bytes);
    };
    return decoded();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#session?.destroy();
    this.#session = undefined;
  }

  #open(request: OpenRequest): Exchange {
    const { method, signal, timeoutMs, headers } = request;
    const stream = this.#connected().request({
      ...this.options.headers,
      ...headers,
      ":method": "POST",
      ":path": `/${method.parent.typeName}/${method.name}`,
      "content-type": "application/grpc+proto",
      te: "trailers",
      ...(timeoutMs !== undefined && { "grpc-timeout": formatTimeout(timeoutMs) }),
    });
    return new Exchange(stream, { peer: this.options.peer, name: method.name, signal, timeoutMs });
  }

  #connected(): http2.ClientHttp2Session {
    if (this.#session && !this.#session.closed && !this.#session.destroyed) return this.#session;
    const session = http2.connect("http://localhost", { createConnection: this.options.dial });
    const forget = (): void => {
      if (this.#session === session) this.#session = undefined;
    };
    // Streams of the connection are told too; their callers hear of it.
    session.on("error", forget);
    session.on("close", forget);
    session.on("goaway", forget);
    this.#session = session;
    return session;
  }
}

export interface ConverseOptions {
  readonly signal: AbortSignal | undefined;
  readonly timeoutMs?: number | undefined;
  readonly headers: Readonly<Record<string, string | string[]>>;
}

interface OpenRequest extends ConverseOptions {
  readonly method: DescMethod;
}

interface ExchangeOptions {
  readonly peer: string;
  readonly name: string;
  readonly signal: AbortSignal | undefined;
  readonly timeoutMs: number | undefined;
}

/** One call on the connection. */
class Exchange {
  readonly #queue: Buffer[] = [];
  #trailers: Trailers | undefined;
  #failure: HullError | undefined;
  #ended = false;
  #closed = false;
  #wake: () => void = () => {};

  constructor(
    readonly stream: http2.ClientHttp2Stream,
    private readonly options: ExchangeOptions,
  ) {
    const reader = new MessageReader();
    const { peer, name, signal, timeoutMs } = options;
    const late = (): void =>
      this.#fail(new HullError("deadline-exceeded", `${name}: no answer within ${timeoutMs} ms`));
    const timer = timeoutMs === undefined ? undefined : setTimeout(late, timeoutMs);
    const aborted = (): void => this.#fail(new HullError("cancelled", `${name}: given up`, { cause: signal?.reason }));
    signal?.addEventListener("abort", aborted, { once: true });
    stream.on("response", (headers) => this.#note(headers));
    stream.on("trailers", (headers) => this.#note(headers));
    stream.on("end", () => {
      this.#ended = true;
      this.#wake();
    });
    stream.on("data", (chunk: Buffer) => {
      this.#queue.push(...reader.push(chunk));
      if (this.#queue.length > 8) stream.pause();
      this.#wake();
    });
    stream.on("error", (error) => this.#fail(cutOff(peer, name, error)));
    stream.on("close", () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", aborted);
      this.#closed = true;
      this.#wake();
    });
    if (signal?.aborted) aborted();
  }

  /** Messages of the answer; throws what the status says. Leaving it early cancels the call. */
  async *messages(): AsyncGenerator<Buffer> {
    try {
      for (;;) {
        for (let next = this.#queue.shift(); next; next = this.#queue.shift()) yield next;
        if (this.#failure) throw this.#failure;
        if (this.#isAnswered) break;
        this.stream.resume();
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
      this.#checkStatus();
    } finally {
      if (!this.#closed) this.stream.close(CANCEL);
    }
  }

  /** Nothing more comes. Our own half may be open still: who answers early has no use for what we would say. */
  get #isAnswered(): boolean {
    return this.#closed || (this.#ended && this.#trailers !== undefined);
  }

  #note(headers: Trailers): void {
    if (headers["grpc-status"] === undefined) return;
    this.#trailers = headers;
    this.#wake();
  }

  #fail(error: HullError): void {
    this.#failure ??= error;
    if (!this.stream.destroyed) this.stream.close(CANCEL);
    this.#wake();
  }

  #checkStatus(): void {
    const { name } = this.options;
    if (this.#trailers === undefined) throw new HullError("unavailable", `${name}: the connection ended`);
    const status = Number(this.#trailers["grpc-status"]);
    if (status !== 0) throw toHullError(status, this.#trailers);
  }
}

async function send<I extends DescMessage>(
  exchange: Exchange,
  schema: I,
  input: AsyncIterable<MessageInitShape<I>>,
): Promise<void> {
  const { stream } = exchange;
  try {
    for await (const message of input) {
      if (stream.destroyed || stream.closed) return;
      if (stream.write(encodeMessage(toBinary(schema, create(schema, message))))) continue;
      await new Promise<void>((resolve) => {
        stream.once("drain", resolve);
        stream.once("close", resolve);
      });
    }
    stream.end();
  } catch {
    stream.close(CANCEL);
  }
}

function toHullError(status: number, trailers: Trailers): HullError {
  const text = (name: string): string | undefined => trailers[name]?.toString();
  const code = codeOfAnswer(status, text("hull-error-code"));
  const facts = text("hull-error-facts");
  const details = text("grpc-status-details-bin");
  return new HullError(code, decodeStatusMessage(text("grpc-message") ?? `gRPC status ${status}`), {
    facts: {
      ...(facts !== undefined && (JSON.parse(decodeURIComponent(facts)) as Record<string, string | number>)),
      ...(details !== undefined && { [DETAILS_FACT]: details }),
    },
  });
}
