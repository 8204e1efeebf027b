/**
 * gRPC on a unix socket. The socket file is kept by platform/unix-listener.ts; each connection is handed to one HTTP/2 server.
 * Lifecycle: serve -> close (ends connections and streams).
 */
import http2 from "node:http2";
import type { Socket } from "node:net";
import type { ConnectRouter, Interceptor } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { listenUnix } from "../platform/unix-listener.ts";

/** Content is written in messages of up to this size. */
const MAX_MESSAGE_BYTES = 32 * 1024 * 1024;

export interface GrpcServerOptions {
  readonly path: string;
  readonly routes: (router: ConnectRouter) => void;
  readonly interceptors: Interceptor[];
  readonly onRecreated: (error?: unknown) => void;
}

export async function serveGrpc(options: GrpcServerOptions): Promise<AsyncDisposable> {
  const { routes, interceptors, path, onRecreated } = options;
  const handler = connectNodeAdapter({
    routes,
    interceptors,
    grpc: true,
    grpcWeb: false,
    connect: false,
    readMaxBytes: MAX_MESSAGE_BYTES,
  });
  const server = http2.createServer({ settings: { maxConcurrentStreams: 10_000 } }, handler);
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
