/**
 * hulld put together: the engine's parts, its routes, its listeners and the daemons under it.
 *
 * Lifecycle: `startHulld` takes the roots, reads its own records and serves; the other daemons come up in the background -> `reload` (SIGHUP) ->
 * `shutDown` (SIGTERM): stops serving and hull-containerd; containers, their network and their logs go on.
 */
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { connectContainerd } from "../containerd/client.ts";
import { openNetdClient } from "../network/client.ts";
import { HullError, messageOf } from "../platform/errors.ts";
import type { Log } from "../platform/log.ts";
import { SpanStore } from "../trace/store.ts";
import { Tracer } from "../trace/tracer.ts";
import { buildEngine, type HulldEngine } from "./compose.ts";
import type { DaemonConfig } from "./config.ts";
import { registrySettings } from "./config-merge.ts";
import { ApiServer } from "./http/api-server.ts";
import { answers, type Listener, openListeners } from "./http/listeners.ts";
import { openKernel } from "./keel-kernel.ts";
import { rehearse } from "./rehearsal/rehearsal.ts";
import { allRoutes } from "./routes.ts";
import { registriesPath } from "./supervision/daemon-args.ts";
import { FirstLook } from "./supervision/first-look.ts";
import { containerdSocket, Supervisor } from "./supervision/supervisor.ts";
import { DOCKER_VERSION } from "./system/docker-version.ts";
import { readHostFacts } from "./system/host-facts.ts";

/** A rehearsal's round that has begun is finished, so that nothing is left of it; one that hangs goes with the next start. */
const ROUND_MS = 5000;
const DOCKER_SOCKET = "/var/run/docker.sock";
/** `/containerd/containerd.sock.ttrpc` lies below the exec root; a socket path holds 107 bytes. */
const MAX_EXEC_ROOT_BYTES = 74;

export interface Hulld {
  /** Resolves with the reason when what the flags ask for cannot be had. */
  readonly refused: Promise<string>;
  reload(config: DaemonConfig): void;
  shutDown(): Promise<void>;
}

export async function startHulld(initial: DaemonConfig, log: Log): Promise<Hulld> {
  let config = initial;
  const current = () => config;
  await using stack = new AsyncDisposableStack();
  const spans = stack.use(new SpanStore(join(config.dataRoot, "traces", "hulld.db")));
  const tracer = new Tracer("hulld", spans);
  const kernel = stack.use(await openKernel({ tracer, log }));
  for (const root of [config.dataRoot, config.execRoot]) await kernel.claim(root);
  const containerd = stack.use(connectContainerd({ socketPath: containerdSocket(config), namespace: "moby" }));
  const netd = stack.use(openNetdClient(config.execRoot));
  const engine = await buildEngine({ config: current, kernel, containerd, netd, tracer, log });
  const inDockersPlace = await takesDockersPlace(config);
  const refused = Promise.withResolvers<string>();
  const firstLook = new FirstLook();
  const resting = new AbortController();
  let rehearsals: Promise<void> | undefined;
  const onKnown = () => {
    firstLook.done();
    if (config.rehearse)
      rehearsals ??= rehearse(engine, { signal: resting.signal, lastRequestMs: () => server.lastRequestMs });
  };
  const supervisor = superviseFor(engine, { config: current, inDockersPlace, onRefused: refused.resolve, onKnown });
  const host = readHostFacts();
  const routes = allRoutes({ engine, supervisor, spans, host });
  const server = new ApiServer({
    routes,
    tracer,
    serverVersion: DOCKER_VERSION,
    onFailure: (what, error) => log.error(`${what}: ${messageOf(error)}`),
    known: (path) => firstLook.wait(path),
  });
  const listeners = await listen(config, inDockersPlace, { server, log });
  stack.defer(() => closeAll(listeners));
  await writePidFile(config);
  writeRegistrySettings(config);
  supervisor.start();
  log.info("serving the API", { hosts: listeners.map(({ host: name }) => name).join(" ") });
  const resources = stack.move();
  return {
    refused: refused.promise,
    reload: (next) => {
      config = reloaded(config, next);
      log.setLevel(config.logLevel);
      writeRegistrySettings(config);
      supervisor.configureBuilder();
      engine.events.publish({ type: "daemon", action: "reload", id: engine.id, attributes: { name: host.hostname } });
    },
    shutDown: async () => {
      await closeAll(listeners);
      resting.abort();
      await Promise.race([rehearsals, delay(ROUND_MS, undefined, { ref: false })]);
      await engine.containers.close();
      await supervisor.shutDown();
      server.closeAll();
      await resources.disposeAsync();
      if (config.pidFile !== "") await rm(config.pidFile, { force: true });
    },
  };
}

/** Throws invalid-argument for an exec root under which sockets would not fit. */
export function makeRoots({ dataRoot, execRoot }: DaemonConfig): void {
  if (Buffer.byteLength(execRoot) > MAX_EXEC_ROOT_BYTES) {
    throw new HullError(
      "invalid-argument",
      `--exec-root ${execRoot} is too long: the sockets below it must fit into 107 bytes, so it may have ${MAX_EXEC_ROOT_BYTES}`,
    );
  }
  mkdirSync(dataRoot, { recursive: true, mode: 0o711 });
  mkdirSync(execRoot, { recursive: true, mode: 0o711 });
}

/** With the default roots and sockets, when no other engine answers there. */
async function takesDockersPlace(config: DaemonConfig): Promise<boolean> {
  if (config.hosts.includes(`unix://${DOCKER_SOCKET}`)) return true;
  return config.defaultHosts && !(await answers(DOCKER_SOCKET));
}

interface ListenParts {
  readonly server: ApiServer;
  readonly log: Log;
}

function listen(config: DaemonConfig, inDockersPlace: boolean, { server, log }: ListenParts): Promise<Listener[]> {
  const extra = inDockersPlace && config.defaultHosts ? [`unix://${DOCKER_SOCKET}`] : [];
  return openListeners([...config.hosts, ...extra], {
    config,
    accept: (socket) => server.accept(socket),
    onNotice: (message) => log.warn(message),
  });
}

async function closeAll(listeners: Listener[]): Promise<void> {
  await Promise.all(listeners.splice(0).map((listener) => listener.close()));
}

async function writePidFile({ pidFile }: DaemonConfig): Promise<void> {
  if (pidFile !== "") await writeFile(pidFile, `${process.pid}\n`, { mode: 0o644 });
}

/** Handed over to hull-containerd, which reads it whenever it needs it: a reload needs nobody else. */
function writeRegistrySettings(config: DaemonConfig): void {
  const path = registriesPath(config);
  writeFileSync(`${path}.new`, `${JSON.stringify(registrySettings(config), undefined, 2)}\n`, { mode: 0o644 });
  renameSync(`${path}.new`, path);
}

interface SuperviseOptions {
  readonly config: () => DaemonConfig;
  readonly inDockersPlace: boolean;
  readonly onRefused: (why: string) => void;
  readonly onKnown: () => void;
}

function superviseFor(
  engine: HulldEngine,
  { config, inDockersPlace, onRefused, onKnown }: SuperviseOptions,
): Supervisor {
  const { containerd, netd, log, images, networks, containers } = engine;
  const failed = (what: string) => (error: unknown) => log.error(`${what}: ${messageOf(error)}`);
  const here = { containerd: false, netd: false };
  const resync = async () => {
    if (!here.containerd || !here.netd) return;
    onKnown();
    await containers.resync();
  };
  return new Supervisor({
    config,
    inDockersPlace,
    containerd,
    netd,
    log,
    onContainerd: async () => {
      await images.reload();
      here.containerd = true;
      await resync();
    },
    onNetd: async () => {
      await networks.refresh();
      here.netd = true;
      await resync();
    },
    onImageEvent: () => void images.reload().catch(failed("read images")),
    onRefused,
    onNetworkEvent: () => void networks.refresh().catch(failed("read networks")),
  });
}

/** What a running daemon may take over (dockerd's list); the rest of a changed file waits for the next start. */
function reloaded(now: DaemonConfig, next: DaemonConfig): DaemonConfig {
  return {
    ...now,
    debug: next.debug,
    logLevel: next.logLevel,
    labels: next.labels,
    insecureRegistries: next.insecureRegistries,
    registryMirrors: next.registryMirrors,
    trustedAuthRealms: next.trustedAuthRealms,
    allowNondistributable: next.allowNondistributable,
    runtimes: next.runtimes,
    defaultRuntime: next.defaultRuntime,
    defaultShmBytes: next.defaultShmBytes,
    builderIdleSeconds: next.builderIdleSeconds,
    maxConcurrentBuilds: next.maxConcurrentBuilds,
    builderEntitlements: next.builderEntitlements,
    maxConcurrentDownloads: next.maxConcurrentDownloads,
    maxConcurrentUploads: next.maxConcurrentUploads,
    shutdownTimeoutSeconds: next.shutdownTimeoutSeconds,
  };
}
