/**
 * HTTP requests over a unix socket or TCP. Uses the runtime's fetch: on a unix socket it costs a command 1 ms of start
 * where `node:http` costs 14 ms. Requests that become raw streams go through `upgrade` (node:net, loaded when needed).
 */
import type { Socket } from "node:net";
import { HullError } from "./errors.ts";

export type Endpoint =
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "tcp"; readonly host: string; readonly port: number; readonly tls?: TlsFiles };

/** PEM texts. */
export interface TlsFiles {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly verify: boolean;
}

export interface HttpRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array | ReadableStream<Uint8Array>;
  readonly signal?: AbortSignal;
}

const originOf = (endpoint: Endpoint): string =>
  endpoint.kind === "unix"
    ? "http://docker"
    : `${endpoint.tls ? "https" : "http"}://${endpoint.host.includes(":") ? `[${endpoint.host}]` : endpoint.host}:${endpoint.port}`;

/** Sends a request; the response's body may be read as a stream. Throws `unavailable` when nothing answers. */
export async function send(endpoint: Endpoint, request: HttpRequest): Promise<Response> {
  const { method, path, headers, body, signal } = request;
  const init = {
    method,
    headers,
    body,
    signal,
    // The runtime's own limit would end `logs -f` and `wait` after five minutes.
    timeout: false,
    ...(body instanceof ReadableStream ? { duplex: "half" } : {}),
    ...(endpoint.kind === "unix" ? { unix: endpoint.path } : {}),
    ...(endpoint.kind === "tcp" && endpoint.tls ? { tls: tlsOptions(endpoint.tls) } : {}),
  };
  try {
    return await fetch(originOf(endpoint) + path, init as RequestInit);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new HullError("unavailable", `${method} ${path}: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    });
  }
}

const tlsOptions = (tls: TlsFiles): Readonly<Record<string, unknown>> => ({
  ca: tls.ca,
  cert: tls.cert,
  key: tls.key,
  rejectUnauthorized: tls.verify,
});

export interface RawStream {
  /** Half-closable; bytes that came with the response's head are already back in it. */
  readonly socket: Socket;
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
}

/** Sends a request that the server answers with 101 (or a raw 200) and hands over the connection. */
export async function upgrade(
  endpoint: Endpoint,
  request: HttpRequest & { readonly body?: string },
): Promise<RawStream> {
  const socket = await openSocket(endpoint);
  const body = request.body ?? "";
  const headers = {
    Host: "docker",
    Connection: "Upgrade",
    Upgrade: "tcp",
    "Content-Length": String(Buffer.byteLength(body)),
    ...request.headers,
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`${request.method} ${request.path} HTTP/1.1\r\n${lines.join("")}\r\n${body}`);
  return readHead(socket);
}

async function openSocket(endpoint: Endpoint): Promise<Socket> {
  const net = await import("node:net");
  const connecting =
    endpoint.kind === "unix"
      ? { path: endpoint.path, allowHalfOpen: true }
      : { host: endpoint.host, port: endpoint.port, allowHalfOpen: true };
  const socket =
    endpoint.kind === "tcp" && endpoint.tls
      ? (await import("node:tls")).connect({ ...connecting, ...tlsOptions(endpoint.tls) })
      : net.connect(connecting);
  await new Promise<void>((resolve, reject) => {
    socket.once(endpoint.kind === "tcp" && endpoint.tls ? "secureConnect" : "connect", resolve);
    socket.once("error", (error) => reject(new HullError("unavailable", error.message, { cause: error })));
  });
  return socket;
}

function readHead(socket: Socket): Promise<RawStream> {
  return new Promise((resolve, reject) => {
    let seen = Buffer.alloc(0);
    const onEnd = () => reject(new HullError("unavailable", "the engine closed the connection before it answered"));
    const onData = (chunk: Buffer) => {
      seen = Buffer.concat([seen, chunk]);
      const end = seen.indexOf("\r\n\r\n");
      if (end < 0) return;
      socket.off("data", onData).off("end", onEnd).off("error", reject);
      socket.pause();
      const [first = "", ...lines] = seen.subarray(0, end).toString("latin1").split("\r\n");
      const rest = seen.subarray(end + 4);
      if (rest.length > 0) socket.unshift(rest);
      resolve({ socket, status: Number(first.split(" ")[1]), headers: new Map(lines.map(splitHeader)) });
    };
    socket.on("data", onData).once("end", onEnd).once("error", reject);
  });
}

function splitHeader(line: string): [string, string] {
  const colon = line.indexOf(":");
  return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
}
