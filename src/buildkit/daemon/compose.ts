/** Puts hull-buildkitd together: the one place that knows all of its parts. */
import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type ContainerdClient, call, connectContainerd } from "../../containerd/client.ts";
import type { KeelServe } from "../../keel/serve.ts";
import { openNetdClient } from "../../network/client.ts";
import { codeOf, HullError } from "../../platform/errors.ts";
import type { Log } from "../../platform/log.ts";
import type { Tracer } from "../../trace/tracer.ts";
import { ClientContexts } from "../context/client-contexts.ts";
import { collectContexts } from "../context/collect.ts";
import { KeelFiles } from "../context/keel-files.ts";
import { findIn } from "../context/paths-in-root.ts";
import { ContextReceiver } from "../context/receive.ts";
import { cacheView } from "../control/cache-view.ts";
import { controlApi } from "../control/control.ts";
import type { ResultView } from "../control/exporters.ts";
import { openDownloads } from "../downloads/open.ts";
import { openHistory } from "../history/history.ts";
import { CacheMounts } from "../run/cache-mounts.ts";
import { NetdNetworks } from "../run/network.ts";
import { CommandRunner } from "../run/runner.ts";
import type { BuilderSettings } from "../settings.ts";
import { Admission } from "../solver/admission.ts";
import { openCache } from "../solver/cache.ts";
import { Solver } from "../solver/solver.ts";
import { storedImages } from "./base-images.ts";
import { type ClassicParts, classicBuild } from "./classic-build.ts";
import { type ImageOrder, writeImages } from "./image-writer.ts";
import { LayoutImages } from "./layout-images.ts";
import { prunePolicyOf } from "./prune-query.ts";
import type { Builder, BuilderCall } from "./server.ts";
import { SnapshotLayers } from "./snapshot-layers.ts";
import { SolverRun } from "./solving.ts";
import { openStepTimes } from "./step-times.ts";
import { wholeCache } from "./whole-cache.ts";

export interface BuilderParts {
  readonly settings: BuilderSettings;
  readonly keel: KeelServe;
  readonly tracer: Tracer;
  readonly log: Log;
}

const STATUS_MS = 10_000;
const STATUS_STEP_MS = 20;

export async function composeBuilder(parts: BuilderParts): Promise<Builder> {
  const { settings, keel, log, tracer } = parts;
  const { dataRoot, execRoot } = settings;
  const own = join(dataRoot, "buildkit");
  const warn = (message: string) => log.warn(message);
  await using stack = new AsyncDisposableStack();
  const containerd = stack.use(
    connectContainerd({
      socketPath: join(execRoot, "containerd/containerd.sock"),
      namespace: "moby",
      patienceMs: STATUS_MS,
    }),
  );
  const snapshotter = await snapshotterOf(containerd);
  const layers = new SnapshotLayers(containerd, snapshotter, keel);
  await layers.recover();
  const files = new KeelFiles({ keel, scratch: join(execRoot, "buildkit/files") });
  await files.recover();
  const contexts = new ContextReceiver({ keel, directory: join(own, "contexts"), warn });
  await contexts.recover();
  stack.defer(() => contexts.settled());
  const downloads = await openDownloads({ directory: own, contexts, keel, env: process.env });
  const caches = new CacheMounts(join(own, "cache-mounts"), keel);
  const networks = new NetdNetworks(stack.use(openNetdClient(execRoot)));
  const runner = new CommandRunner({
    dataRoot,
    execRoot,
    keel,
    caches,
    networks,
    warn,
    tracer,
    keelPath: settings.keel,
  });
  await runner.recover();
  stack.defer(() => runner.settled());
  const scratch = join(own, "scratch");
  mkdirSync(scratch, { recursive: true, mode: 0o700 });
  const cache = stack.use(openCache({ path: join(own, "cache.db"), layers, holds: layers, warn }));
  await cache.reconcile();
  const solver = stack.use(
    new Solver({
      world: { layers, files, runner, scratchDirectory: scratch },
      cache,
      logDirectory: join(own, "logs"),
      maxConcurrentBuilds: settings.maxConcurrentBuilds,
      warn,
    }),
  );
  const store = (order: ImageOrder) => writeImages({ containerd, snapshotter }, order);
  const uploads = new Uploads(settings.maxConcurrentUploads);
  const history = stack.use(openHistory({ directory: own, warn }));
  const classic: ClassicParts = {
    ...{ history, warn },
    times: stack.use(openStepTimes(join(own, "steps.db"))),
    tracer,
    startSolving: (request, createdNs) => new SolverRun(solver, request, createdNs),
    receive: async (body, options) => {
      const tree = await uploads.slot(options, () => contexts.receive(body, options.signal));
      return { tree, [Symbol.asyncDispose]: async () => {} };
    },
    images: storedImages({ containerd, layers }),
    downloads,
    write: async (image, tags, signal) => (await store({ images: [image], asIndex: false, tags, signal })).id,
    scratch,
  };
  const ending = new AbortController();
  stack.defer(() =>
    ending.abort(new HullError("cancelled", "hull-buildkitd is being stopped: the build was cancelled")),
  );
  const whole = wholeCache({ cache, mounts: caches, disk: () => solver.disk() });
  const layouts = new LayoutImages({ containerd, snapshotter, keel, directory: join(own, "layouts"), warn });
  await layouts.recover();
  let allowed = settings.entitlements;
  const control = controlApi({
    entitlements: () => allowed,
    ...classic,
    content: containerd.content,
    layouts,
    contexts: new ClientContexts({
      directory: join(own, "contexts"),
      receive: (body, options) => uploads.slot(options, () => contexts.receive({ body }, options.signal)),
      gather: (directory, files, options) =>
        uploads.slot(options, () => contexts.gather(directory, files, options.signal)),
    }),
    exports: {
      store,
      view: async (stack) => resultView(files, await layers.directories(stack)),
    },
    cache: cacheView(whole),
    ending: ending.signal,
    log,
  });
  const resources = stack.move();
  const builds = new Builds(classic);
  return {
    build: (asked) => builds.run(asked),
    cancel: (id) => builds.cancel(id),
    configure: ({ maxConcurrentBuilds, entitlements }) => {
      allowed = entitlements;
      solver.setMaxConcurrentBuilds(maxConcurrentBuilds);
    },
    usage: () => whole.usage(),
    prune: (query) => whole.prune(prunePolicyOf(query)),
    collect: async () => {
      await downloads.collect();
      const { files, bytes } = await collectContexts(join(own, "contexts"));
      log.info("unused files of contexts were deleted", { files, bytes });
    },
    grpc: (socket, head) => control.grpc(socket, head),
    session: (headers, socket, head) => control.session(headers, socket, head),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** hull-containerd may be on its way back. */
async function snapshotterOf(containerd: ContainerdClient): Promise<string> {
  const giveUpAt = Date.now() + STATUS_MS;
  for (;;) {
    try {
      return (await containerd.daemon.status({}, call({ timeoutMs: STATUS_MS }))).storageDriver;
    } catch (error) {
      if (codeOf(error) !== "unavailable" || Date.now() > giveUpAt) throw error;
      await delay(STATUS_STEP_MS);
    }
  }
}

/** Builds in hand, by the ids that clients cancel them by. */
class Builds {
  readonly #cancels = new Map<string, AbortController>();

  constructor(private readonly parts: ClassicParts) {}

  async run(asked: BuilderCall): Promise<void> {
    const given = new URLSearchParams(asked.request.query).get("buildid") ?? "";
    const cancel = new AbortController();
    if (given !== "") this.#cancels.set(given, cancel);
    try {
      const signal = AbortSignal.any([asked.signal, cancel.signal]);
      await classicBuild(this.parts, { ...asked, signal, id: `classic-${randomBytes(8).toString("hex")}` });
    } finally {
      if (this.#cancels.get(given) === cancel) this.#cancels.delete(given);
    }
  }

  cancel(id: string): boolean {
    const found = this.#cancels.get(id);
    found?.abort(new HullError("cancelled", "the build was cancelled"));
    return found !== undefined;
  }
}

async function resultView(files: KeelFiles, directories: readonly string[]): Promise<ResultView> {
  const view = await files.view(directories);
  const list = (signal: AbortSignal, hashed?: boolean) => files.list(view.path, signal, hashed);
  const read = (path: string, maxBytes: number) => findIn(view.path, path, maxBytes);
  return { path: view.path, list, read, [Symbol.asyncDispose]: () => view[Symbol.asyncDispose]() };
}

/** Contexts on their way, so many at a time, builds in turn. */
class Uploads {
  readonly #admission: Admission;

  constructor(count: number) {
    const slots = { command: 1, transfer: count, hash: 1 };
    this.#admission = new Admission({ slots, builds: Number.POSITIVE_INFINITY });
  }

  async slot<T>({ build, signal }: { readonly build: string; readonly signal: AbortSignal }, work: () => Promise<T>) {
    using _slot = await this.#admission.acquire({ build, kind: "transfer", cost: 1, signal, onWaiting: () => {} });
    try {
      return await work();
    } finally {
      this.#admission.forget(build);
    }
  }
}
