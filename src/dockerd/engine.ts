/**
 * The engine as a composition: what every part of hulld may use. Parts get it (or the few fields they need) when they are made; nothing
 * here is a singleton, so that tests run several engines in one process.
 */
import type { ContainerdClient } from "../containerd/client.ts";
import type { NetdClient } from "../network/client.ts";
import type { Log } from "../platform/log.ts";
import type { Tracer } from "../trace/tracer.ts";
import type { DaemonConfig } from "./config.ts";
import type { ContainerService } from "./containers/api.ts";
import type { EventBus } from "./events/api.ts";
import type { ImageService } from "./images/api.ts";
import type { Kernel } from "./kernel.ts";
import type { NetworkService } from "./networks/api.ts";
import type { VolumeService } from "./volumes/api.ts";

export interface Engine {
  /** The settings of now: SIGHUP replaces the value, so read it when it is needed. */
  readonly config: DaemonConfig;
  /** keel serve of hulld. */
  readonly kernel: Kernel;
  /** Namespace "moby". Calls fail with `unavailable` while hull-containerd is away. */
  readonly containerd: ContainerdClient;
  readonly netd: NetdClient;
  readonly events: EventBus;
  readonly images: ImageService;
  readonly volumes: VolumeService;
  readonly networks: NetworkService;
  readonly containers: ContainerService;
  readonly tracer: Tracer;
  readonly log: Log;
  /**
   * Of the engine whose containers these daemons hold: it looks at them all and removes what no record of its own is for. False for another one beside
   * it, which must touch nothing that it did not make.
   */
  readonly adopts: boolean;
}

/** What the containers' part is made from: `createContainers(parts)`. */
export type EngineParts = Omit<Engine, "containers">;
