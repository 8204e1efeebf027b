/** Every route of the engine, from the folders of its resources. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { call } from "../containerd/client.ts";
import type { SpanStore } from "../trace/store.ts";
import { buildCache } from "./build/cache-usage.ts";
import { buildRoutes } from "./build/routes.ts";
import { builderSpans } from "./build/spans.ts";
import type { HulldEngine } from "./compose.ts";
import { distributionRoutes } from "./distribution/routes.ts";
import { eventRoutes } from "./events/routes.ts";
import type { Route } from "./http/route.ts";
import { logRoutes } from "./hull/logs.ts";
import { statusRoutes } from "./hull/status.ts";
import { traceRoutes } from "./hull/traces.ts";
import type { Image } from "./images/catalog.ts";
import type { GraphDriver } from "./images/format.ts";
import { imageRoutes } from "./images/routes.ts";
import { networkRoutes } from "./networks/routes.ts";
import { containerdSocket, type Supervisor } from "./supervision/supervisor.ts";
import { diskUsageRoutes } from "./system/disk-usage.ts";
import type { HostFacts } from "./system/host-facts.ts";
import { infoAnswer } from "./system/info.ts";
import { systemRoutes } from "./system/routes.ts";
import { versionAnswer } from "./system/version.ts";
import { volumeRoutes } from "./volumes/routes.ts";

export interface RouteParts {
  readonly engine: HulldEngine;
  readonly supervisor: Supervisor;
  readonly spans: SpanStore;
  readonly host: HostFacts;
}

export function allRoutes(parts: RouteParts): readonly Route[] {
  const { engine, supervisor, spans, host } = parts;
  const { images, archives, volumes, networks, events, containerd, netd } = engine;
  const containers = () => engine.containers;
  const builder = {
    connect: () => supervisor.builder(),
    isThere: () => supervisor.isBuilderThere,
    hasCache: () => existsSync(join(engine.config.dataRoot, "buildkit")),
  };
  const self = { name: "hulld", pid: process.pid, state: "running", restarts: 0 };
  return [
    ...systemRoutes({ version: () => versionAnswer(host), info: () => info(parts) }),
    ...eventRoutes(events),
    ...afterRemovals(parts, [
      ...imageRoutes({ images, archives, graphDriver: (image) => graphDriver(parts, image) }),
      ...volumeRoutes({ volumes, events }),
      ...networkRoutes({ networks, containers }),
    ]),
    ...diskUsageRoutes({ images, volumes, containers, buildCache: () => buildCache(builder) }),
    ...distributionRoutes({ containerd }),
    ...buildRoutes({ builder, images }),
    ...traceRoutes({
      ...{ spans, containerd, netd },
      builder: (traceId, known) => builderSpans(builder, traceId, known),
      containerId: (reference) => containerId(engine, reference),
    }),
    ...logRoutes(engine.config.dataRoot),
    ...statusRoutes({ daemons: () => [self, ...supervisor.daemons()], degraded: () => supervisor.degraded() }),
    ...engine.containers.routes(),
  ];
}

/** What removes waits until containers that were just removed have let go of it. */
function afterRemovals({ engine }: RouteParts, routes: readonly Route[]): Route[] {
  const removes = ({ method, path }: Route): boolean => method === "DELETE" || path.endsWith("/prune");
  return routes.map((route) => {
    if (!removes(route)) return route;
    const handler: Route["handler"] = async (request, response) => {
      await engine.containers.settled();
      await route.handler(request, response);
    };
    return { ...route, handler };
  });
}

function info({ engine, supervisor, host }: RouteParts): object {
  const { config } = engine;
  const state = {
    id: engine.id,
    containers: engine.containers.counts(),
    images: engine.images.catalog.byId.size,
    eventListeners: engine.events.listeners,
    storage: supervisor.storage,
    firewallDriver: supervisor.firewallDriver,
    containerdSocket: containerdSocket(config),
    initBinary: config.initPath || "docker-init",
    warnings: supervisor.degraded(),
    cgroupNamespaces: existsSync("/proc/self/ns/cgroup"),
  };
  return infoAnswer({ config, host, state });
}

/** An inspect shows no directories rather than wait for a containerd that is away. */
async function graphDriver({ engine, supervisor }: RouteParts, image: Image): Promise<GraphDriver> {
  const { driver } = supervisor.storage;
  try {
    const paths = await engine.containerd.rootfs.paths(
      { key: image.chainId, snapshotter: "" },
      call({ timeoutMs: 500 }),
    );
    return { Name: paths.driver, Data: Object.keys(paths.data).length === 0 ? null : paths.data };
  } catch {
    return { Name: driver, Data: null };
  }
}

function containerId(engine: HulldEngine, reference: string): string | undefined {
  try {
    return engine.containers.get(reference).id;
  } catch {
    return undefined; // Gone: its traces are still found by full id.
  }
}
