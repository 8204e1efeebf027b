/** gRPC services that a command offers on a connection which it opened itself. */
import http2 from "node:http2";
import type { Socket } from "node:net";
import type { HandlerContext } from "@connectrpc/connect";
import { GrpcRoutes, type IncomingCall } from "../../platform/grpc/server.ts";

/** What of connect's context the services use. */
export interface ServedCall {
  readonly signal: AbortSignal;
  /** Metadata of the call, unescaped. */
  readonly values: (name: string) => readonly string[];
}

export const callOf = (context: HandlerContext): ServedCall => context as unknown as ServedCall;

/** `onFailed`: what a call failed of here, which the daemon tells in other words or not at all. */
export function serveOn(socket: Socket, addServices: (routes: GrpcRoutes) => void, onFailed: (error: unknown) => void) {
  const routes = new GrpcRoutes((call) => {
    const context: ServedCall = { signal: call.signal, values: (name) => metadataOf(call, name) };
    const end = (error?: unknown): void => {
      if (error !== undefined && !call.signal.aborted) onFailed(error);
    };
    return { context: context as unknown as HandlerContext, end };
  });
  addServices(routes);
  const server = http2.createServer({ settings: { maxConcurrentStreams: 1000 } });
  server.on("stream", (stream, headers, _flags, raw?: readonly string[]) => routes.onStream(stream, headers, raw));
  server.on("sessionError", () => {}); // A cut connection: the build is told.
  socket.on("error", () => socket.destroy());
  server.emit("connection", socket);
}

/** Values that HTTP could not carry come escaped, and a second header says so. */
function metadataOf({ values }: IncomingCall, name: string): readonly string[] {
  const given = values(name);
  return values(`${name}-encoded`)[0] === "1"
    ? given.map((text) => decodeURIComponent(text.replaceAll("+", " ")))
    : given;
}
