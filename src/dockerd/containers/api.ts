/** Containers as the engine's other parts see them. Everything is served from memory unless it returns a promise. */
import type { Route } from "../http/route.ts";
import type { ImageUser } from "../images/api.ts";

export interface ContainerCounts {
  readonly running: number;
  readonly paused: number;
  readonly stopped: number;
}

/** Endpoint settings as POST /networks/{id}/connect carries them (EndpointConfig), decoded but not interpreted. */
export type EndpointSettingsInput = unknown;

/**
 * Lifecycle: construct (reads the records from disk) -> reconcile (each time containerd or netd has come back; may be called again
 * while it runs) -> close (stops timers; touches no container).
 */
export interface ContainerService {
  /** Everything of /containers/* and /exec/*. */
  readonly routes: readonly Route[];
  counts(): ContainerCounts;
  /** Containers made from this image. */
  usersOfImage(imageId: string): readonly ImageUser[];
  /** Full id and name (without slash) by id, name or unambiguous id prefix. */
  find(reference: string): { readonly id: string; readonly name: string } | undefined;
  /** The container list as /system/df shows it (with SizeRw and SizeRootFs). */
  usage(): Promise<readonly object[]>;
  /** Throws not-found, conflict as Docker. The network is given by its id. */
  connectNetwork(reference: string, networkId: string, settings: EndpointSettingsInput): Promise<void>;
  disconnectNetwork(reference: string, networkId: string, force: boolean): Promise<void>;
  /** Makes records and what really runs agree; resolves when done. Never throws. */
  reconcile(): Promise<void>;
  /** Stops every container in parallel, honouring their stop timeouts. */
  stopAll(signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}
