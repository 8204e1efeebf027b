/**
 * Answers connections with the routes: finds the version and the route, opens the request's span, turns errors into answers.
 * Knows nothing of sockets' addresses (listeners.ts) and nothing of what the routes do.
 */
import type { Socket } from "node:net";
import { HullError } from "../../platform/errors.ts";
import { parseTraceparent } from "../../trace/context.ts";
import type { Span, Tracer } from "../../trace/tracer.ts";
import { type Exchange, serveConnection } from "./connection.ts";
import { answerError } from "./errors.ts";
import { pageNotFound, versionTooNew, versionTooOld } from "./messages.ts";
import { Query } from "./query.ts";
import { ApiRequest } from "./request.ts";
import { type Match, type Route, Router } from "./route.ts";
import { API_VERSION, compareVersions, MIN_API_VERSION } from "./version.ts";

export interface ApiServerOptions {
  readonly routes: readonly Route[];
  readonly tracer: Tracer;
  /** Docker's version string, for the Server header. */
  readonly serverVersion: string;
  /** Told about answers of 5xx and about errors after an answer had begun. */
  readonly onFailure: (what: string, error: unknown) => void;
  /** What a request of this path waits for before it is looked at; undefined: nothing. */
  readonly known?: (path: string) => Promise<void> | undefined;
}

export class ApiServer {
  readonly #router: Router;
  readonly #common: Readonly<Record<string, string>>;
  readonly #open = new Set<Socket>();
  #lastRequestMs = performance.now();

  constructor(private readonly options: ApiServerOptions) {
    this.#router = new Router(options.routes);
    this.#common = {
      "Api-Version": API_VERSION,
      "Docker-Experimental": "false",
      Ostype: "linux",
      Server: `Docker/${options.serverVersion} (linux)`,
    };
  }

  /** Serves a connection until it ends. */
  accept(socket: Socket): void {
    this.#open.add(socket);
    socket.once("close", () => this.#open.delete(socket));
    serveConnection(socket, { respond: (exchange) => this.#respond(exchange), common: this.#common }).catch((error) => {
      this.options.onFailure("connection", error);
      socket.destroy();
    });
  }

  /** When a request last came, or this was made, as of performance.now(). */
  get lastRequestMs(): number {
    return this.#lastRequestMs;
  }

  /** Cuts every connection. */
  closeAll(): void {
    for (const socket of this.#open) socket.destroy();
  }

  async #respond(exchange: Exchange): Promise<void> {
    const { head, response } = exchange;
    this.#lastRequestMs = performance.now();
    const target = splitTarget(head.target);
    try {
      const match = this.#match(head.method, target);
      await this.#run(match, target, exchange);
    } catch (error) {
      if (exchange.signal.aborted && response.begun) return response.abort();
      answerError(response, error, target.version);
      if (response.status >= 500 || response.status === 0)
        this.options.onFailure(`${head.method} ${target.path}`, error);
    }
  }

  #match(method: string, target: Target): Match {
    const { version } = target;
    if (version !== undefined) checkVersion(version);
    const match = this.#router.find(method, target.path);
    const since = match?.route.since;
    if (!match || (since !== undefined && compareVersions(version ?? API_VERSION, since) < 0)) {
      throw new HullError("not-found", pageNotFound);
    }
    return match;
  }

  async #run(match: Match, target: Target, exchange: Exchange): Promise<void> {
    const { head, body, response, signal } = exchange;
    const { route, params } = match;
    const version = target.version ?? API_VERSION;
    const span = this.#span(route, exchange);
    const request = new ApiRequest({ head, params, query: new Query(target.query), version, body, signal, span });
    try {
      await this.options.known?.(route.path);
      await route.handler(request, response);
      span.set({ status: response.status });
      span.end();
    } catch (error) {
      span.end(error);
      throw error;
    }
  }

  #span(route: Route, { head }: Exchange): Span {
    if (route.untraced) return noSpan;
    return this.options.tracer.start(`${route.method} ${route.path}`, {
      parent: parseTraceparent(head.headers.get("traceparent")),
      attributes: { target: head.target.slice(0, 200) },
    });
  }
}

const noSpan: Span = {
  context: { traceId: "0".repeat(32), spanId: "0".repeat(16) },
  set: () => {},
  child: () => noSpan,
  end: () => {},
  [Symbol.dispose]: () => {},
};

interface Target {
  /** Undefined when the path carries none. */
  readonly version: string | undefined;
  /** Decoded, without the version. */
  readonly path: string;
  readonly query: string;
}

function splitTarget(target: string): Target {
  const mark = target.indexOf("?");
  const raw = mark < 0 ? target : target.slice(0, mark);
  const query = mark < 0 ? "" : target.slice(mark + 1);
  const match = /^\/v([0-9.]+)(\/.*)$/.exec(raw);
  return { version: match?.[1], path: decodePath(match?.[2] ?? raw), query };
}

function decodePath(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path; // A malformed escape matches no object; the route says so.
  }
}

function checkVersion(version: string): void {
  if (compareVersions(version, MIN_API_VERSION) < 0) {
    throw new HullError("invalid-argument", versionTooOld(version, MIN_API_VERSION));
  }
  if (compareVersions(version, API_VERSION) > 0)
    throw new HullError("invalid-argument", versionTooNew(version, API_VERSION));
}
