/**
 * hull-containerd put together. Lifecycle: `startDaemon` takes the lock of the data root, opens the stores, adopts the tasks
 * that run and only then serves; disposal stops serving and leaves every shim running.
 */
import { randomUUID } from "node:crypto";
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { KeelServe } from "../keel/serve.ts";
import { messageOf } from "../platform/errors.ts";
import type { GrpcRoutes } from "../platform/grpc/server.ts";
import type { Log } from "../platform/log.ts";
import { TransferProcess } from "../registry/transfer/transfer-process.ts";
import { SpanStore } from "../trace/store.ts";
import { Tracer } from "../trace/tracer.ts";
import { Collector } from "./collector.ts";
import { EventBroker } from "./event-broker.ts";
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
import { ImageReader } from "./images/image-details.ts";
import type { ImageTools } from "./images/image-tools.ts";
import { LayerStore } from "./images/layer-store.ts";
import type { DaemonOptions } from "./options.ts";
import { RegistryHost } from "./registries/registry-host.ts";
import { type Roots, rootsOf } from "./roots.ts";
import { runtimePlans } from "./runtime-plans.ts";
import { serveServices } from "./server.ts";
import { startCalls } from "./services/call.ts";
import { containersService } from "./services/containers-service.ts";
import { contentService } from "./services/content-service.ts";
import {
  daemonService,
  eventsService,
  introspectionService,
  readUuid,
  versionService,
} from "./services/daemon-services.ts";
import { diffService } from "./services/diff-service.ts";
import { imageStoreService } from "./services/image-store-service.ts";
import { imagesService } from "./services/images-service.ts";
import { leasesService } from "./services/leases-service.ts";
import { namespacesService } from "./services/namespaces-service.ts";
import { registriesService } from "./services/registries-service.ts";
import { rootfsService } from "./services/rootfs-service.ts";
import { snapshotsService } from "./services/snapshots-service.ts";
import { taskExtrasService } from "./services/task-extras-service.ts";
import { tasksService } from "./services/tasks-service.ts";
import { MountHolds } from "./snapshots/mount-holds.ts";
import { openStores } from "./stores.ts";
import { adoptTasks } from "./tasks/adopt-tasks.ts";
import { CgroupParents } from "./tasks/cgroup-parents.ts";
import { Cleanups } from "./tasks/cleanups.ts";
import { foreseeTask } from "./tasks/create-task.ts";
import { NetworkGates } from "./tasks/network-gates.ts";
import { ReadyPlans } from "./tasks/ready-plans.ts";
import type { TaskHost } from "./tasks/task-host.ts";
import { TaskTable } from "./tasks/task-table.ts";

/** Throws `conflict` when another hull-containerd has the data root. */
export async function startDaemon(options: DaemonOptions, log: Log): Promise<AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  const roots = rootsOf(options.dataRoot, options.execRoot);
  makeDirectories(roots);
  const spans = stack.use(new SpanStore(join(roots.containerd, "spans.db")));
  const tracer = new Tracer("hull-containerd", spans);
  const keel = stack.use(await openKeel(options, tracer, log));
  await keel.lock(join(roots.containerd, "lock"));
  for (const name of readdirSync(scratchOf(roots))) rmSync(join(scratchOf(roots), name), { recursive: true }); // An earlier process died over it.
  const warn = (message: string): void => log.warn(message);
  const events = new EventBroker();
  const stores = stack.use(await openStores({ roots, kernel: keel, events, warn }));
  const collector = stack.use(new Collector(stores, (error) => log.warn(`collection: ${messageOf(error)}`)));
  const transfers = stack.use(new TransferProcess());
  const plans = await runtimePlans(warn);
  const tasks = new TaskTable();
  const host: TaskHost = {
    roots,
    stores,
    tasks,
    events,
    launcher: keel,
    plans,
    cleanups: new Cleanups(warn),
    cgroupParents: new CgroupParents(),
    networkGates: new NetworkGates(),
    readyPlans: new ReadyPlans(),
    tracer,
    warn,
  };
  await adoptTasks(host);
  const parts: Parts = {
    host,
    collector,
    spans,
    transfers,
    registries: options.registries,
    uuid: uuidOf(roots),
    keelPid: () => keel.pid,
    cgroupMode: plans.cgroupMode,
  };
  const server = await serveServices({
    path: roots.socket,
    routes: (router) => routes(router, parts),
    startCall: startCalls(tracer),
    onRecreated: (error) => log.warn(error === undefined ? "made the socket file again" : messageOf(error)),
  });
  stack.defer(() => settle(host));
  stack.use(server); // Ends first: nothing new is begun behind what is waited for.
  for (const sentence of stores.degraded) warn(sentence);
  collector.schedule();
  log.info("serving", { socket: roots.socket, tasks: tasks.list().length, driver: stores.snapshotters.default.name });
  return stack.move();
}

/** What was begun is ended; without tasks nothing of ours stays in the cgroup hierarchies. */
async function settle({ cleanups, tasks, launcher, cgroupParents }: TaskHost): Promise<void> {
  await cleanups.allSettled();
  if (tasks.list().length === 0) await launcher.run(cgroupParents.removal());
}

const openKeel = ({ keel }: DaemonOptions, tracer: Tracer, log: Log): Promise<KeelServe> =>
  KeelServe.open({
    path: keel,
    tracer,
    onRestarted: (why) => log.warn("started keel again", { why }),
    onLockLost: (path, error) => log.error(`lost the lock ${path}: ${messageOf(error)}`),
  });

interface Parts {
  readonly host: TaskHost;
  readonly collector: Collector;
  readonly spans: SpanStore;
  readonly transfers: TransferProcess;
  readonly registries: string;
  readonly uuid: string;
  readonly keelPid: () => number;
  readonly cgroupMode: string;
}

function routes(router: GrpcRoutes, parts: Parts): void {
  const { host, collector, spans, uuid, keelPid, cgroupMode } = parts;
  const { stores, tasks, events, roots, launcher: kernel } = host;
  const { dataRoot } = roots;
  const scratch = scratchOf(roots);
  const reader = new ImageReader(stores.content);
  const tools: ImageTools = { stores, reader, layers: new LayerStore(kernel), collector, kernel, scratch };
  const holds = new MountHolds(kernel, join(dataRoot, "overlay2"));
  router.service(Version, versionService());
  router.service(Introspection, introspectionService(uuid, stores));
  router.service(Namespaces, namespacesService(stores));
  router.service(Containers, containersService({ stores, tasks, collector }));
  router.service(Content, contentService(stores));
  router.service(Images, imagesService(stores, collector));
  router.service(Leases, leasesService(stores, collector));
  router.service(Snapshots, snapshotsService(stores, events));
  router.service(Diff, diffService({ stores, kernel, dataRoot, scratch }));
  router.service(Events, eventsService(events));
  router.service(Tasks, tasksService(host));
  router.service(TaskExtras, taskExtrasService(host));
  router.service(Rootfs, rootfsService({ stores, kernel, holds, events, onMade: (made) => foreseeTask(host, made) }));
  router.service(ImageStore, imageStoreService({ tools, dataRoot }));
  const registries = new RegistryHost({ tools, transfers: parts.transfers, settingsPath: parts.registries });
  router.service(Registries, registriesService(registries));
  router.service(Daemon, daemonService({ stores, tasks, collector, spans, dataRoot, cgroupMode, keelPid }));
}

const scratchOf = (roots: Roots): string => join(roots.content, "scratch");

function makeDirectories(roots: Roots): void {
  const make = (path: string, mode: number): unknown => mkdirSync(path, { recursive: true, mode });
  make(roots.dataRoot, 0o711);
  make(roots.containerd, 0o711);
  make(scratchOf(roots), 0o700);
  make(roots.execRoot, 0o711);
  for (const path of [roots.bundles, roots.pauseSockets, roots.shimSockets]) make(path, 0o700);
}

function uuidOf(roots: Roots): string {
  const path = join(roots.containerd, "uuid");
  return readUuid(path, () => {
    const uuid = randomUUID();
    writeFileSync(path, `${uuid}\n`);
    return uuid;
  });
}
