/** BuildKit's gRPC services on connections that are handed over with their first bytes read. */
import http2 from "node:http2";
import type { Socket } from "node:net";
import type { HandlerContext } from "@connectrpc/connect";
import { messageOf } from "../../platform/errors.ts";
import { GrpcRoutes, type IncomingCall, type StartedCall } from "../../platform/grpc/server.ts";
import type { Log } from "../../platform/log.ts";

/** What of connect's context our services use. */
interface CallContext {
  readonly signal: AbortSignal;
  readonly header: (name: string) => string | undefined;
}

const contextOf = (context: HandlerContext): CallContext => context as unknown as CallContext;

/** A header of the call, by its name in lower case; "" without. */
export const headerOf = (context: HandlerContext, name: string): string => contextOf(context).header(name) ?? "";

export class GrpcConnections {
  readonly routes: GrpcRoutes;
  readonly #server = http2.createServer({ settings: { maxConcurrentStreams: 1000 } });

  constructor(private readonly log: Log) {
    this.routes = new GrpcRoutes((call) => this.#started(call));
    this.#server.on("stream", (stream, headers) => this.routes.onStream(stream, headers));
    this.#server.on("sessionError", () => {}); // A cut connection: its calls are told.
  }

  accept(socket: Socket, head: Buffer): void {
    socket.on("error", () => socket.destroy());
    // Nobody speaks HTTP/2 on half a connection: who ends it has gone, and its calls are aborted.
    socket.once("end", () => socket.destroy());
    this.#server.emit("connection", socket);
    // The runtime's HTTP/2 does not see what was put back into a socket.
    if (head.length > 0) socket.emit("data", head);
  }

  #started({ method, header, signal }: IncomingCall): StartedCall {
    const context: CallContext = { signal, header };
    const end = (error?: unknown): void => {
      if (error !== undefined && !signal.aborted) this.log.warn(`${method.name}: ${messageOf(error)}`);
    };
    // What clients set their clocks by.
    const headers = { "buildkit-current-timestamp": new Date().toISOString() };
    return { context: context as unknown as HandlerContext, headers, end };
  }
}
