/**
 * The services on two unix sockets: gRPC for everybody, each connection handed to one HTTP/2 server, and beside it ttrpc. The socket files
 * are kept by platform/unix-listener.ts. Lifecycle: serve -> close (ends connections and streams).
 */
import http2 from "node:http2";
import type { Socket } from "node:net";
import { GrpcRoutes, type StartCall } from "../platform/grpc/server.ts";
import { listenUnix } from "../platform/unix-listener.ts";
import { serveTtrpcConnection } from "./ttrpc/server.ts";

const MAX_STREAMS = 10_000;

export interface ServerOptions {
  /** gRPC's; ttrpc's is `<path>.ttrpc`. */
  readonly path: string;
  readonly routes: (routes: GrpcRoutes) => void;
  readonly startCall: StartCall;
  readonly onRecreated: (error?: unknown) => void;
}

export async function serveServices(options: ServerOptions): Promise<AsyncDisposable> {
  const { path, onRecreated } = options;
  const routes = new GrpcRoutes(options.startCall);
  options.routes(routes);
  const server = http2.createServer({ settings: { maxConcurrentStreams: MAX_STREAMS } });
  server.on("stream", (stream, headers) => routes.onStream(stream, headers));
  server.on("sessionError", () => {});
  const sockets = new Set<Socket>();
  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
  };
  const overHttp2 = (socket: Socket): void => {
    keep(socket);
    server.emit("connection", socket);
  };
  const service = { find: (name: string) => routes.find(name), startCall: options.startCall };
  const overTtrpc = (socket: Socket): void => {
    keep(socket);
    serveTtrpcConnection(socket, service);
  };
  const listen = (at: string, onConnection: (socket: Socket) => void) =>
    listenUnix({ path: at, onConnection, mode: 0o660, onRecreated });
  const ttrpc = await listen(`${path}.ttrpc`, overTtrpc);
  // Clients wait for gRPC's socket: the other one is there by then.
  const grpc = await listen(path, overHttp2);
  return {
    async [Symbol.asyncDispose]() {
      await grpc.close();
      await ttrpc.close();
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
