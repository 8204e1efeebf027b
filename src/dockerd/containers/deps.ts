/** What the container service stands on: the other services of hulld and small ports to the other daemons. */
import type { Tracer } from "../../trace/tracer.ts";
import type { DaemonConfig } from "../config.ts";
import type { EventBus } from "../events/api.ts";
import type { ImageService } from "../images/api.ts";
import type { Kernel } from "../kernel.ts";
import type { NetworkService } from "../networks/api.ts";
import type { VolumeService } from "../volumes/api.ts";
import type { Container } from "./container.ts";
import type { ContainerEvents } from "./container-events.ts";
import type { EngineDefaults } from "./create/settings.ts";
import type { HealthMonitor } from "./health/monitor.ts";
import type { Leaving } from "./leaving.ts";
import type { ContainerRegistry } from "./registry.ts";
import type { Sandboxes } from "./sandboxes.ts";
import type { Shims } from "./shims.ts";
import type { ContainerStore } from "./store.ts";
import type { Tasks } from "./tasks.ts";

/** Where the engine says what went wrong outside of any request. */
export interface Warn {
  warn(message: string, facts?: Readonly<Record<string, string | number>>): void;
  info(message: string, facts?: Readonly<Record<string, string | number>>): void;
}

export interface ContainerDeps {
  readonly config: DaemonConfig;
  readonly bus: EventBus;
  readonly images: ImageService;
  readonly volumes: VolumeService;
  readonly networks: NetworkService;
  readonly tracer: Tracer;
  readonly log: Warn;
  readonly tasks: Tasks;
  readonly sandboxes: Sandboxes;
  readonly shims: Shims;
  readonly store: ContainerStore;
  readonly registry: ContainerRegistry;
  readonly leaving: Leaving;
  readonly events: ContainerEvents;
  readonly health: HealthMonitor;
  readonly defaults: EngineDefaults;
  /** Path of the keel executable: the tiny init, archives. */
  readonly keelPath: string;
  readonly kernel: Kernel;
}

export type { Container };
