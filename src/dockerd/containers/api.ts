/**
 * What the other parts of hulld may ask of containers.
 *
 * Lifecycle: `open` reads every record from disk (no other daemon is asked) -> `resync` makes records and running tasks agree,
 * again after each return of hull-containerd -> `close` stops timers and streams and leaves the containers running.
 * Everything that returns a record answers from memory and never waits.
 */
import type { SpanContext } from "../../trace/context.ts";
import type { Route } from "../http/route.ts";
import type { EndpointSettings } from "./config.ts";
import type { ContainerRecord } from "./record.ts";

export interface ContainerCounts {
  readonly running: number;
  readonly paused: number;
  readonly stopped: number;
}

export interface NetworkChange {
  readonly container: string;
  /** Name or id. */
  readonly network: string;
  readonly settings?: EndpointSettings;
  readonly force?: boolean;
  readonly parent?: SpanContext;
}

export interface ContainerService {
  open(): Promise<void>;
  resync(): Promise<void>;
  close(): Promise<void>;
  list(): readonly ContainerRecord[];
  /** By full id, name (with or without slash) or unique id prefix. Throws not-found in Docker's words. */
  get(reference: string): ContainerRecord;
  counts(): ContainerCounts;
  /** The rows of `GET /containers/json?all=1&size=1`, for system df. Walks disks. */
  usage(signal: AbortSignal): Promise<readonly object[]>;
  /** When the clean-up after removals that were answered is over: networks, volumes and images are free again. */
  settled(): Promise<void>;
  connectNetwork(change: NetworkChange): Promise<void>;
  disconnectNetwork(change: NetworkChange): Promise<void>;
  /** /containers/* and /exec/* */
  routes(): readonly Route[];
}
