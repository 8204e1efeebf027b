/**
 * Answers hull-buildkitd's connections. The first bytes decide what one is: HTTP/2's preface is gRPC, anything else a line of JSON.
 * Lifecycle: `accept` each connection -> `idle` resolves after a while without work -> `close` cancels what runs and waits for it.
 */
import type { Socket } from "node:net";
import { codeOf, HullError, httpStatusOf, messageOf } from "../../platform/errors.ts";
import { FramedSocket } from "../../platform/framed-socket.ts";
import type { Log } from "../../platform/log.ts";
import { HULL_VERSION } from "../../platform/version.ts";
import { parseTraceparent } from "../../trace/context.ts";
import type { SpanRecord } from "../../trace/span.ts";
import type { Span, Tracer } from "../../trace/tracer.ts";
import type { BuilderPong, BuilderRequest, CacheRecord, PruneAnswer } from "../api.ts";
import { messageWithAdvice } from "../full-disk.ts";
import { parseConfigured } from "../settings.ts";

export interface BuilderCall {
  readonly request: BuilderRequest;
  readonly connection: FramedSocket;
  /** Aborted when the client has gone, when somebody cancels the build, and when the daemon ends. */
  readonly signal: AbortSignal;
  readonly span: Span;
}

/** What `idle` resolves with. */
export const NO_WORK = "no work";

/** What the daemon can do: the composition's (compose.ts). */
export interface Builder extends AsyncDisposable {
  /** Answers on the connection. Throws only before its answer line. */
  build(call: BuilderCall): Promise<void>;
  /** Ends a build by the id its client gave it; false when there is none. */
  cancel(id: string): boolean;
  /** For builds to come; slots are given by the new number from now on. */
  configure(settings: ReturnType<typeof parseConfigured>): void;
  usage(signal: AbortSignal): Promise<readonly CacheRecord[]>;
  prune(query: URLSearchParams, signal: AbortSignal): Promise<PruneAnswer>;
  /** Gives back what nobody needs any more; while nothing else is done. */
  collect(): Promise<void>;
  /** BuildKit's gRPC on a connection whose first bytes are `head`. */
  grpc(socket: Socket, head: Buffer): void;
  /** A connection that a client's session speaks on. `headers`: X-Docker-Expose-Session-*, names in lower case. */
  session(headers: Readonly<Record<string, string>>, socket: Socket, head: Buffer): void;
}

export interface BuilderServerParts {
  readonly builder: Builder;
  readonly tracer: Tracer;
  /** Of a trace, what this daemon recorded. */
  readonly spans: (traceId: string) => readonly SpanRecord[];
  readonly log: Log;
  readonly startedAtMs: number;
  readonly idleMs: number;
}

const HTTP2_PREFACE = "PRI * HTTP/2.0";
/** Work that was cancelled gets this long to undo what it began. */
const CLOSE_MS = 8_000;

export class BuilderServer {
  readonly #idle = Promise.withResolvers<string>();
  readonly #ending = new AbortController();
  readonly #working = new Set<Promise<void>>();
  readonly #open = new Set<Socket>();
  #timer: NodeJS.Timeout | undefined;

  constructor(private readonly parts: BuilderServerParts) {
    this.#rest();
  }

  /** Resolves when there has been no work for the time given. */
  get idle(): Promise<string> {
    return this.#idle.promise;
  }

  accept(socket: Socket): void {
    this.#open.add(socket);
    socket.once("close", () => this.#open.delete(socket));
    socket.on("error", () => {}); // A cut connection: who reads it is told.
    const connection = new FramedSocket(socket, "the client");
    this.#serve(connection).catch((error: unknown) => {
      if (!connection.gone.aborted) this.parts.log.error("connection", { error: messageOf(error) });
      socket.destroy();
    });
  }

  /** Cancels what runs and waits for it, for a while. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    const why =
      "hull-buildkitd is being stopped: the build was cancelled; what it had finished is kept, so run it again";
    this.#ending.abort(new HullError("cancelled", why));
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, CLOSE_MS);
    });
    await Promise.race([Promise.allSettled(this.#working), late]);
    clearTimeout(timer);
    for (const socket of this.#open) socket.destroy();
  }

  async #serve(connection: FramedSocket): Promise<void> {
    const begin = await connection.peek(1);
    if (begin.length === 0) return connection[Symbol.dispose]();
    if (begin[0] === HTTP2_PREFACE.charCodeAt(0) && (await this.#isHttp2(connection)))
      return this.#asWork(() => this.#grpc(connection));
    const request = (await connection.readLine()) as BuilderRequest;
    if (request.kind === "hold") return this.#hold(connection);
    await this.#asWork(() => this.#answer(connection, request));
  }

  async #isHttp2(connection: FramedSocket): Promise<boolean> {
    const begin = await connection.peek(HTTP2_PREFACE.length);
    return begin.toString("latin1", 0, HTTP2_PREFACE.length) === HTTP2_PREFACE;
  }

  async #grpc(connection: FramedSocket): Promise<void> {
    const { socket, head } = connection.release();
    const closed = this.#closed(socket);
    this.parts.builder.grpc(socket, head);
    if (!socket.destroyed) await closed;
  }

  async #hold(connection: FramedSocket): Promise<void> {
    await connection.writeLine({ status: 100, message: "" });
    await this.#json(connection, this.#pong());
  }

  /** While it runs the daemon is not idle. */
  async #asWork(run: () => Promise<void>): Promise<void> {
    clearTimeout(this.#timer);
    const work = run();
    this.#working.add(work);
    try {
      await work;
    } finally {
      this.#working.delete(work);
      this.#rest();
    }
  }

  #rest(): void {
    if (this.#working.size > 0 || this.#ending.signal.aborted) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#idle.resolve(NO_WORK), this.parts.idleMs);
  }

  async #answer(connection: FramedSocket, request: BuilderRequest): Promise<void> {
    using end = this.parts.tracer.start(`builder ${request.kind}`, { parent: parseTraceparent(request.traceparent) });
    try {
      await this.#dispatch(connection, request, end);
      end.end();
    } catch (error) {
      end.end(error);
      if (connection.gone.aborted) return connection[Symbol.dispose]();
      await connection.writeLine({ status: statusOf(error), message: messageWithAdvice(error) });
    }
    if (!connection.socket.destroyed) connection.socket.end();
  }

  async #dispatch(connection: FramedSocket, request: BuilderRequest, span: Span): Promise<void> {
    const { builder } = this.parts;
    const signal = AbortSignal.any([connection.gone, this.#ending.signal]);
    signal.throwIfAborted();
    const query = new URLSearchParams(request.query);
    await connection.writeLine({ status: 100, message: "" });
    if (request.kind === "session" || request.kind === "grpc") return this.#handOver(connection, request);
    if (request.kind === "ping") return this.#json(connection, this.#pong());
    if (request.kind === "build") return builder.build({ request, connection, signal, span });
    if (request.kind === "configure") {
      builder.configure(parseConfigured(query));
      return this.#json(connection, {});
    }
    if (request.kind === "spans") {
      const traceId = query.get("trace") ?? "";
      return this.#json(connection, this.parts.spans(traceId));
    }
    if (request.kind === "usage") return this.#json(connection, await builder.usage(signal));
    if (request.kind === "prune") return this.#json(connection, await builder.prune(query, signal));
    const id = query.get("id") ?? "";
    if (id === "") throw new HullError("invalid-argument", "missing build ID in query");
    builder.cancel(id);
    await this.#json(connection, {});
  }

  /** Raw bytes from here on, until either side ends them. */
  async #handOver(connection: FramedSocket, request: BuilderRequest): Promise<void> {
    const { builder } = this.parts;
    await connection.writeLine({ status: 101, message: "" });
    const { socket, head } = connection.release();
    const closed = this.#closed(socket);
    if (request.kind === "grpc") builder.grpc(socket, head);
    else builder.session(request.session, socket, head);
    if (!socket.destroyed) await closed;
  }

  /** Or when the daemon ends, which cuts it. */
  #closed(socket: Socket): Promise<void> {
    return new Promise((resolve) => {
      socket.once("close", () => resolve());
      this.#ending.signal.addEventListener("abort", () => resolve(), { once: true });
    });
  }

  async #json(connection: FramedSocket, value: unknown): Promise<void> {
    await connection.writeLine({ status: 200, message: "" });
    await connection.write(Buffer.from(JSON.stringify(value)));
    await connection.writeEnd();
  }

  #pong(): BuilderPong {
    return { version: HULL_VERSION, pid: process.pid, startedAtMs: this.parts.startedAtMs };
  }
}

/** A HullError may carry its exact status. */
export const statusOf = (error: unknown): number =>
  error instanceof HullError && typeof error.facts.httpStatus === "number"
    ? error.facts.httpStatus
    : httpStatusOf[codeOf(error)];
