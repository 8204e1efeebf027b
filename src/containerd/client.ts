/**
 * Client of hull-containerd for hulld, the builder and tests: typed gRPC over its unix socket, one kept HTTP/2 connection.
 *
 * Lifecycle: `connectContainerd` dials nothing; the first call does, and a call after a broken connection dials again
 * (the call in flight fails with `unavailable`). Disposal closes the connection; calls in flight fail.
 * Errors are HullError: the code from gRPC's, refined by the `hull-error-code` metadata of our daemon.
 */
import net from "node:net";
import type { DescService } from "@bufbuild/protobuf";
import { type CallOptions, type Client, Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { type ErrorCode, HullError } from "../platform/errors.ts";
import { formatTraceparent, type SpanContext } from "../trace/context.ts";
import { Containers } from "./gen/containerd/services/containers/v1/containers_pb.ts";
import { Content } from "./gen/containerd/services/content/v1/content_pb.ts";
import { Diff } from "./gen/containerd/services/diff/v1/diff_pb.ts";
import { Events } from "./gen/containerd/services/events/v1/events_pb.ts";
import { Images } from "./gen/containerd/services/images/v1/images_pb.ts";
import { Introspection } from "./gen/containerd/services/introspection/v1/introspection_pb.ts";
import { Leases } from "./gen/containerd/services/leases/v1/leases_pb.ts";
import { Namespaces } from "./gen/containerd/services/namespaces/v1/namespaces_pb.ts";
import { Snapshots } from "./gen/containerd/services/snapshots/v1/snapshots_pb.ts";
import { Tasks } from "./gen/containerd/services/tasks/v1/tasks_pb.ts";
import { Version } from "./gen/containerd/services/version/v1/version_pb.ts";
import { Daemon } from "./gen/hull/containerd/v1/daemon_pb.ts";
import { ImageStore } from "./gen/hull/containerd/v1/images_pb.ts";
import { Rootfs } from "./gen/hull/containerd/v1/rootfs_pb.ts";
import { TaskExtras } from "./gen/hull/containerd/v1/tasks_pb.ts";

export { type ContainerdEvent, decodeEvent } from "./events.ts";

const services = {
  containers: Containers,
  content: Content,
  diff: Diff,
  events: Events,
  images: Images,
  introspection: Introspection,
  leases: Leases,
  namespaces: Namespaces,
  snapshots: Snapshots,
  tasks: Tasks,
  version: Version,
  daemon: Daemon,
  imageStore: ImageStore,
  rootfs: Rootfs,
  taskExtras: TaskExtras,
} as const satisfies Record<string, DescService>;

/** One typed client per service, all over one connection. */
export type ContainerdClient = {
  readonly [K in keyof typeof services]: Client<(typeof services)[K]>;
} & AsyncDisposable;

export interface ContainerdClientOptions {
  /** Path of containerd.sock. */
  readonly socketPath: string;
  /** "moby" for hulld. */
  readonly namespace: string;
}

export function connectContainerd(options: ContainerdClientOptions): ContainerdClient {
  const nodeOptions = { createConnection: () => net.connect({ path: options.socketPath }) };
  const sessionManager = new Http2SessionManager("http://localhost", {}, nodeOptions);
  const transport = createGrpcTransport({
    baseUrl: "http://localhost",
    sessionManager,
    interceptors: [namespaceHeader(options.namespace)],
  });
  const clients = Object.fromEntries(
    Object.entries(services).map(([name, service]) => [
      name,
      speaking(service as DescService, createClient(service as DescService, transport)),
    ]),
  ) as unknown as ContainerdClient;
  return {
    ...clients,
    async [Symbol.asyncDispose]() {
      sessionManager.abort();
    },
  };
}

export interface ContainerdCallOptions {
  /** Span on the caller's side; the daemon's spans become its children. */
  readonly parent?: SpanContext | undefined;
  /** Abort cancels the call on the daemon's side too. */
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number;
  /** What the call makes is held by this lease. */
  readonly lease?: string;
}

/** Options of a call: `client.tasks.start({...}, call({ parent: span.context, timeoutMs: 10_000 }))`. */
export function call(options: ContainerdCallOptions): CallOptions {
  const headers: Record<string, string> = {};
  if (options.parent) headers.traceparent = formatTraceparent(options.parent);
  if (options.lease !== undefined) headers["containerd-lease"] = options.lease;
  return {
    headers,
    ...(options.signal && { signal: options.signal }),
    ...(options.timeoutMs !== undefined && { timeoutMs: options.timeoutMs }),
  };
}

const namespaceHeader =
  (namespace: string): Interceptor =>
  (next) =>
  (request) => {
    if (!request.header.has("containerd-namespace")) request.header.set("containerd-namespace", namespace);
    return next(request);
  };

/** The client with every failure turned into a HullError. */
function speaking<S extends DescService>(service: S, client: Client<S>): Client<S> {
  const calls = client as unknown as Readonly<Record<string, (...args: unknown[]) => unknown>>;
  const wrapped = Object.keys(service.method).map((name) => {
    const invoke = calls[name]!;
    return [name, (...args: unknown[]) => translate(invoke(...args))] as const;
  });
  return Object.fromEntries(wrapped) as unknown as Client<S>;
}

function translate(result: unknown): unknown {
  if (result instanceof Promise) {
    return result.catch((error: unknown) => {
      throw toHullError(error);
    });
  }
  return translated(result as AsyncIterable<unknown>);
}

async function* translated<T>(messages: AsyncIterable<T>): AsyncIterable<T> {
  try {
    yield* messages;
  } catch (error) {
    throw toHullError(error);
  }
}

/** A call's failure as HullError; facts are what the daemon gave. */
export function toHullError(error: unknown): HullError {
  if (error instanceof HullError) return error;
  const failure = ConnectError.from(error);
  if (failure.cause instanceof HullError) return failure.cause;
  const code = failure.metadata.get("hull-error-code") as ErrorCode | null;
  const facts = failure.metadata.get("hull-error-facts");
  // Our daemon always states its code: a failure without one is the connection's.
  return new HullError(code ?? codeOfStatus[failure.code] ?? "unavailable", failure.rawMessage, {
    cause: error,
    ...(facts !== null && { facts: JSON.parse(decodeURIComponent(facts)) as Record<string, string | number> }),
  });
}

const codeOfStatus: Readonly<Partial<Record<Code, ErrorCode>>> = {
  [Code.Canceled]: "cancelled",
  [Code.InvalidArgument]: "invalid-argument",
  [Code.DeadlineExceeded]: "deadline-exceeded",
  [Code.NotFound]: "not-found",
  [Code.AlreadyExists]: "already-exists",
  [Code.PermissionDenied]: "permission-denied",
  [Code.ResourceExhausted]: "resource-exhausted",
  [Code.FailedPrecondition]: "failed-precondition",
  [Code.Unimplemented]: "unimplemented",
  [Code.Unavailable]: "unavailable",
  [Code.Unauthenticated]: "unauthenticated",
};
