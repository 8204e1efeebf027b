/** The container service put together from the engine's parts. */

import { messageOf } from "../../platform/errors.ts";
import { keelPath } from "../../platform/paths.ts";
import type { EngineParts } from "../engine.ts";
import { execRoutes } from "../exec/routes.ts";
import { ExecService } from "../exec/service.ts";
import { Filters } from "../http/filters.ts";
import type { ContainerService, NetworkChange } from "./api.ts";
import { archiveRoutes } from "./archive/routes.ts";
import { Container } from "./container.ts";
import { ContainerEvents } from "./container-events.ts";
import type { EngineDefaults } from "./create/settings.ts";
import type { ContainerDeps } from "./deps.ts";
import { HealthMonitor } from "./health/monitor.ts";
import { Leaving } from "./leaving.ts";
import { followTasks } from "./lifecycle/follow.ts";
import { stopContainer } from "./lifecycle/stop.ts";
import { Supervisor } from "./lifecycle/supervisor.ts";
import { connectNetwork, disconnectNetwork } from "./network-change.ts";
import { ContainerRegistry } from "./registry.ts";
import { lifecycleRoutes } from "./routes.ts";
import { Sandboxes } from "./sandboxes.ts";
import { Shims } from "./shims.ts";
import { defaultCgroupns } from "./spec/spec.ts";
import { isActive } from "./state.ts";
import { ContainerStore } from "./store.ts";
import { streamRoutes } from "./stream-routes.ts";
import { Tasks } from "./tasks.ts";
import { listContainers } from "./views/list.ts";

/** containerd's namespace of Docker's containers. */
const NAMESPACE = "moby";
const IDLE_MS = 5000;

export function createContainers(parts: EngineParts): ContainerService {
  const registry = new ContainerRegistry();
  const { config } = parts;
  const events = new ContainerEvents(parts.events);
  const lookUp = (reference: string) => registry.get(reference).record;
  const health = new HealthMonitor(events, (container, command, limits) => execs.output(container, command, limits));
  const deps: ContainerDeps = {
    get config() {
      return parts.config;
    },
    get defaults() {
      return defaultsOf(parts);
    },
    bus: parts.events,
    images: parts.images,
    volumes: parts.volumes,
    networks: parts.networks,
    tracer: parts.tracer,
    log: parts.log,
    tasks: new Tasks(parts.containerd),
    sandboxes: new Sandboxes(parts.netd, {
      execRoot: config.execRoot,
      namespace: NAMESPACE,
      get defaultPortIp() {
        return parts.config.network.ip;
      },
      get dns() {
        const { dns, dnsSearch, dnsOptions } = parts.config.network;
        return { servers: dns, search: dnsSearch, options: dnsOptions };
      },
      lookUp,
    }),
    shims: new Shims(config.execRoot, NAMESPACE),
    store: new ContainerStore(`${config.dataRoot}/containers`, (message, fields) => parts.log.warn(message, fields)),
    registry,
    leaving: new Leaving(),
    events,
    health,
    keelPath: keelPath(),
    kernel: parts.kernel,
  };
  const execs = new ExecService(deps);
  return new Containers(parts, deps, execs);
}

const defaultsOf = ({ config }: EngineParts): EngineDefaults => {
  const cgroupns = config.defaultCgroupnsMode || defaultCgroupns();
  return {
    logDriver: config.logDriver,
    logOptions: config.logOpts,
    shmSize: config.defaultShmBytes,
    runtime: config.defaultRuntime,
    init: config.init,
    ipcMode: config.defaultIpcMode,
    cgroupns,
    privilegedCgroupns: defaultCgroupns() === "host" ? "host" : cgroupns,
  };
};

class Containers implements ContainerService {
  readonly #stopping = new AbortController();
  readonly #supervisor: Supervisor;
  #following: Promise<void> | undefined;

  constructor(
    private readonly parts: EngineParts,
    private readonly deps: ContainerDeps,
    private readonly execs: ExecService,
  ) {
    this.#supervisor = new Supervisor(deps, execs);
  }

  async open(): Promise<void> {
    const { registry, store, volumes, log } = this.deps;
    const { records, unreadable } = await store.load();
    for (const { directory, error } of unreadable)
      log.warn(`container left as it is: ${messageOf(error)}`, { directory });
    for (const record of records) {
      registry.add(new Container(record, store));
      for (const mount of record.mounts) {
        if (mount.Type !== "volume") continue;
        try {
          volumes.acquire(mount.Name!, record.id);
        } catch (error) {
          log.warn(`volume of ${record.name}: ${messageOf(error)}`, { container: record.id });
        }
      }
    }
    await volumes.removeOrphans((id) => store.hasRecord(id));
    this.#following = followTasks(
      this.parts.containerd,
      {
        exited: (id, end) => this.#supervisor.exited(id, end),
        execExited: (id, execId, exitCode) => this.execs.ended(id, execId, exitCode),
        outOfMemory: (id) => this.#supervisor.outOfMemory(id),
        connected: () => this.resync(),
      },
      { log, signal: this.#stopping.signal },
    );
  }

  async resync(): Promise<void> {
    if (this.parts.adopts) await this.#supervisor.resync();
  }

  async close(): Promise<void> {
    this.#stopping.abort();
    for (const container of this.deps.registry.list()) {
      container.restartTimer?.cancel();
      container.run.abort();
    }
    await this.#following;
    await this.#idle();
  }

  /** What was begun after an answer is done, so that it is not left to the next engine; after a while all the same. */
  async #idle(): Promise<void> {
    const queues = this.deps.registry.list().map((container) => container.queue.run(async () => undefined));
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, IDLE_MS);
    });
    await Promise.race([Promise.all([...queues, this.deps.leaving.settled()]), late]);
    clearTimeout(timer);
  }

  list() {
    return this.deps.registry.list().map((container) => container.record);
  }

  get(reference: string) {
    return this.deps.registry.get(reference).record;
  }

  counts() {
    const kinds = this.deps.registry.list().map(({ state }) => state.kind);
    const running = kinds.filter((kind) => kind === "running" || kind === "restarting").length;
    const paused = kinds.filter((kind) => kind === "paused").length;
    return { running, paused, stopped: kinds.length - running - paused };
  }

  usage(signal: AbortSignal): Promise<readonly object[]> {
    return listContainers(this.deps, { all: true, limit: undefined, size: true, filters: new Filters(), signal });
  }

  settled(): Promise<void> {
    return this.deps.leaving.settled();
  }

  connectNetwork(change: NetworkChange): Promise<void> {
    return connectNetwork(this.deps, change);
  }

  disconnectNetwork(change: NetworkChange): Promise<void> {
    return disconnectNetwork(this.deps, change);
  }

  async stopAll(signal: AbortSignal): Promise<void> {
    const running = this.deps.registry.list().filter(({ state }) => isActive(state) || state.kind === "restarting");
    const options = { timeoutSeconds: undefined, signal: "", abort: signal };
    const results = await Promise.allSettled(running.map((container) => stopContainer(this.deps, container, options)));
    for (const result of results)
      if (result.status === "rejected") this.deps.log.warn(`stop: ${messageOf(result.reason)}`);
    await Promise.all(running.map((container) => container.queue.run(async () => undefined)));
  }

  routes() {
    return [
      ...lifecycleRoutes(this.deps),
      ...streamRoutes(this.deps),
      ...archiveRoutes({ deps: this.deps, parts: this.parts }),
      ...execRoutes({ deps: this.deps, execs: this.execs }),
    ];
  }
}
