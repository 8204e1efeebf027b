/**
 * Client of hull-containerd for hulld, the builder and tests: typed gRPC over its unix socket, one kept HTTP/2 connection.
 *
 * Lifecycle: `connectContainerd` dials nothing; the first call does, and a call after a broken connection dials again
 * (the call in flight fails with `unavailable`). Disposal closes the connection; calls in flight fail.
 * Errors are HullError with the daemon's code, text and facts.
 */
import type { DescService } from "@bufbuild/protobuf";
import { type CallOptions, type Client, ConnectError, createClient } from "@connectrpc/connect";
import { during, HullError } from "../platform/errors.ts";
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
import { Registries } from "./gen/hull/containerd/v1/registries_pb.ts";
import { Rootfs } from "./gen/hull/containerd/v1/rootfs_pb.ts";
import { TaskExtras } from "./gen/hull/containerd/v1/tasks_pb.ts";
import { ContainerdTransport } from "./transport.ts";

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
  registries: Registries,
  rootfs: Rootfs,
  taskExtras: TaskExtras,
} as const satisfies Record<string, DescService>;

/** One typed client per service, all over the same connections. */
export type ContainerdClient = {
  readonly [K in keyof typeof services]: Client<(typeof services)[K]>;
} & AsyncDisposable;

export interface ContainerdClientOptions {
  /** Path of containerd.sock. */
  readonly socketPath: string;
  /** "moby" for hulld. */
  readonly namespace: string;
  /** So long single calls wait where nobody listens, for a daemon that is being started again. Else they fail at once. */
  readonly patienceMs?: number;
}

export function connectContainerd(options: ContainerdClientOptions): ContainerdClient {
  const { socketPath, namespace, patienceMs = 0 } = options;
  const headers = { "containerd-namespace": namespace };
  const transport = new ContainerdTransport({ socketPath, headers, patienceMs });
  const clients = Object.fromEntries(
    Object.entries(services).map(([name, service]) => [
      name,
      speaking(service as DescService, createClient(service as DescService, transport)),
    ]),
  ) as unknown as ContainerdClient;
  return { ...clients, [Symbol.asyncDispose]: () => transport[Symbol.asyncDispose]() };
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

/** A call's failure as HullError: what the transport threw, unwrapped. */
export function toHullError(error: unknown): HullError {
  if (error instanceof HullError) return error;
  if (error instanceof ConnectError && error.cause instanceof HullError) return error.cause;
  return during("hull-containerd", error);
}
