/**
 * gRPC on a unix socket. The socket file is kept by platform/unix-listener.ts; each connection is handed to one HTTP/2 server.
 * Lifecycle: serve -> close (ends connections and streams).
 */
import http2 from "node:http2";
import type { Socket } from "node:net";
import { listenUnix } from "../platform/unix-listener.ts";
import { GrpcRoutes, type StartCall } from "./grpc/server.ts";

const MAX_STREAMS = 10_000;

export interface GrpcServerOptions {
  readonly path: string;
  readonly routes: (routes: GrpcRoutes) => void;
  readonly startCall: StartCall;
  readonly onRecreated: (error?: unknown) => void;
}

export async function serveGrpc(options: GrpcServerOptions): Promise<AsyncDisposable> {
  const { path, onRecreated } = options;
  const routes = new GrpcRoutes(options.startCall);
  options.routes(routes);
  const server = http2.createServer({ settings: { maxConcurrentStreams: MAX_STREAMS } });
  server.on("stream", (stream, headers) => routes.onStream(stream, headers));
  server.on("sessionError", () => {});
  const sockets = new Set<Socket>();
  const onConnection = (socket: Socket): void => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    server.emit("connection", socket);
  };
  const listener = await listenUnix({ path, onConnection, mode: 0o660, onRecreated });
  return {
    async [Symbol.asyncDispose]() {
      await listener.close();
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
