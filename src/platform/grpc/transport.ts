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

/** What of an answer is still on its way through the streams when its connection ends gets this long. */
const LAST_BYTES_MS = 100;

interface Connected {
  readonly session: http2.ClientHttp2Session;
  /** Not over yet. */
  readonly exchanges: Set<Exchange>;
}

export class GrpcTransport implements Transport, AsyncDisposable {
  #connected: Connected | undefined;

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
    this.#connected?.session.destroy();
    this.#connected = undefined;
  }

  #open({ method, signal, timeoutMs, headers }: OpenRequest): Exchange {
    const { peer } = this.options;
    const { stream, exchanges } = this.#request(method.name, {
      ...this.options.headers,
      ...headers,
      ":method": "POST",
      ":path": `/${method.parent.typeName}/${method.name}`,
      "content-type": "application/grpc+proto",
      te: "trailers",
      ...(timeoutMs !== undefined && { "grpc-timeout": formatTimeout(timeoutMs) }),
    });
    const exchange = new Exchange(stream, { peer, name: method.name, signal, timeoutMs });
    exchanges.add(exchange);
    stream.once("close", () => exchanges.delete(exchange));
    return exchange;
  }

  /** A connection that takes no more streams, because it ends, gives way to another. */
  #request(name: string, headers: http2.OutgoingHttpHeaders): Opened {
    const connected = this.#connection();
    try {
      return { stream: connected.session.request(headers), exchanges: connected.exchanges };
    } catch {
      if (this.#connected === connected) this.#connected = undefined;
    }
    const { session, exchanges } = this.#connection();
    try {
      return { stream: session.request(headers), exchanges };
    } catch (error) {
      throw cutOff(this.options.peer, name, error as Error);
    }
  }

  #connection(): Connected {
    const known = this.#connected;
    if (known && !known.session.closed && !known.session.destroyed) return known;
    const { dial, peer } = this.options;
    const socket = dial();
    if (socket.destroyed) {
      socket.on("error", () => undefined); // Told here.
      throw cutOff(peer, "the first call", socket.errored ?? new Error("it is closed"));
    }
    const session = http2.connect("http://localhost", { createConnection: () => socket });
    const connected: Connected = { session, exchanges: new Set() };
    const forget = (): void => {
      if (this.#connected === connected) this.#connected = undefined;
    };
    let why = new Error("the connection ended");
    // Not every stream is told by its session, one that was just being opened is not.
    const ended = (): void => {
      forget();
      const open = [...connected.exchanges].filter((exchange) => !exchange.isAnswered);
      if (open.length === 0) return;
      setTimeout(() => {
        for (const exchange of open) exchange.cut(why);
      }, LAST_BYTES_MS);
    };
    const failed = (error: Error): void => {
      why = error;
      forget();
    };
    session.on("error", failed).on("goaway", forget).once("close", ended);
    // Of one that is paused the runtime reads answers, but not that it ends: its calls would wait for ever.
    socket.on("error", failed).once("close", ended).resume();
    this.#connected = connected;
    return connected;
  }
}

interface Opened extends Pick<Connected, "exchanges"> {
  readonly stream: http2.ClientHttp2Stream;
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
  readonly #unwatch: () => void;

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
    this.#unwatch = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", aborted);
    };
    stream.on("close", () => this.#close());
    if (signal?.aborted) aborted();
  }

  /** Messages of the answer; throws what the status says. Leaving it early cancels the call. */
  async *messages(): AsyncGenerator<Buffer> {
    try {
      for (;;) {
        for (let next = this.#queue.shift(); next; next = this.#queue.shift()) yield next;
        if (this.#failure) throw this.#failure;
        if (this.isAnswered) break;
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

  /** Its connection has ended; where the whole answer is here it is given out still. */
  cut(why: Error): void {
    if (this.#closed || (this.#trailers !== undefined && !this.stream.destroyed)) return;
    if (this.#trailers === undefined) this.#failure ??= cutOff(this.options.peer, this.options.name, why);
    this.#close();
    this.stream.destroy();
  }

  /** Nothing more comes. Our own half may be open still: who answers early has no use for what we would say. */
  get isAnswered(): boolean {
    return this.#closed || (this.#ended && this.#trailers !== undefined);
  }

  #close(): void {
    this.#unwatch();
    this.#closed = true;
    this.#wake();
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
    const { peer, name } = this.options;
    if (this.#trailers === undefined) throw cutOff(peer, name, new Error("nothing more came"));
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
