/**
 * Turns vertices into layers: what is known is taken from the cache, what several builds want is done once, the rest in parallel as slots allow.
 *
 * Lifecycle of a build: `build` -> the listener hears of every vertex -> the result, whose records stay until it is disposed of (after the image is
 * stored, which then holds the layers itself). Abort of its signal rejects it with `cancelled` once everything that only it wanted is undone.
 * A vertex's states, as its build is told: vertex -> (waiting ...) -> started -> log, status ... -> completed.
 */
import { mkdirSync, statfsSync } from "node:fs";
import { cpus } from "node:os";
import { messageOf } from "../../platform/errors.ts";
import type { SpanContext } from "../../trace/context.ts";
import type { Dialect, Vertex } from "../graph/vertex.ts";
import type { BuildListener } from "../progress.ts";
import { Admission } from "./admission.ts";
import { BuildRun, type Solved } from "./build-run.ts";
import type { BuildCache } from "./cache.ts";
import { ClassicContents } from "./classic-contents.ts";
import type { Explanation } from "./explain.ts";
import { Jobs } from "./jobs.ts";
import type { Contexts, Downloads, LayerStack, Secrets } from "./ports.ts";
import { type DiskSpace, defaultPolicies, type PrunePolicy, prune } from "./prune.ts";
import { defaultSlots, type QueueLimits } from "./queue.ts";
import type { World } from "./work.ts";

export interface SolverOptions {
  readonly world: World;
  readonly cache: BuildCache;
  /** Logs of steps that run: files without names. */
  readonly logDirectory: string;
  readonly maxConcurrentBuilds: number;
  /** Otherwise as many as this machine's cores call for. */
  readonly slots?: QueueLimits["slots"];
  readonly warn: (message: string) => void;
  /** Undefined: as the disk's size says. */
  readonly policies?: (disk: DiskSpace) => readonly PrunePolicy[];
  readonly nowNs?: () => bigint;
}

export interface SolveRequest {
  /** Unique. */
  readonly id: string;
  readonly dialect: Dialect;
  /** Vertices with layers whose stacks the caller wants. Give all that an image's history names. */
  readonly targets: readonly Vertex[];
  readonly contexts: Contexts;
  readonly downloads: Downloads;
  readonly secrets: Secrets;
  readonly listener: BuildListener;
  readonly signal: AbortSignal;
  /** Keeps the files of its contexts for a step that may outlive the build, because others want it too. */
  readonly retain?: () => Disposable;
  /** What names the same Dockerfile in the next build: whose steps a miss is compared with. */
  readonly project?: string;
  /** Of each vertex as soon as its layers are there. */
  readonly onSolved?: (vertex: Vertex, solved: { readonly stack: LayerStack; readonly content: string }) => void;
  /** Hits and misses, with why. */
  readonly onExplained?: (explanation: Explanation) => void;
  /** The span of a vertex that has begun, by its id: what a command's kernel operations are children of. */
  readonly spanOf?: (id: string) => SpanContext | undefined;
}

export interface SolveResult extends Disposable {
  /** By vertexId, of the targets. */
  readonly stacks: ReadonlyMap<string, LayerStack>;
  /** By vertexId: taken from the cache. */
  readonly cached: ReadonlyMap<string, boolean>;
}

/** What all builds have in common. */
export interface Shared {
  readonly world: World;
  readonly cache: BuildCache;
  readonly jobs: Jobs;
  readonly classicContents: ClassicContents;
  readonly admission: Admission;
  readonly nowNs: () => bigint;
}

const COLLECT_AFTER_MS = 1000;
const COLLECT_EVERY_MS = 60_000;

const clockNs = (): bigint => BigInt(Date.now()) * 1_000_000n;

export class Solver implements AsyncDisposable {
  readonly #options: SolverOptions;
  readonly #shared: Shared;
  readonly #slots: QueueLimits["slots"];
  #collectAt = 0;
  #timer: NodeJS.Timeout | undefined;
  #collecting: Promise<void> = Promise.resolve();

  constructor(options: SolverOptions) {
    const { world, cache, logDirectory, nowNs = clockNs } = options;
    mkdirSync(logDirectory, { recursive: true, mode: 0o700 });
    this.#options = options;
    this.#slots = options.slots ?? defaultSlots(cpus().length);
    this.#shared = {
      ...{ world, cache, nowNs },
      jobs: new Jobs({ directory: logDirectory, nowNs }),
      classicContents: new ClassicContents({ cache, files: world.files }),
      admission: new Admission({ slots: this.#slots, builds: options.maxConcurrentBuilds }),
    };
  }

  async build(request: SolveRequest): Promise<SolveResult> {
    const pins = this.#shared.cache.pins();
    try {
      const solved = await new BuildRun(this.#shared, request, pins).solve();
      const by = <T>(pick: (one: Solved) => T): ReadonlyMap<string, T> =>
        new Map([...solved].map(([id, one]) => [id, pick(one)]));
      return {
        stacks: by(({ stack }) => stack),
        cached: by(({ cached }) => cached),
        [Symbol.dispose]: () => pins[Symbol.dispose](),
      };
    } catch (error) {
      pins[Symbol.dispose]();
      throw error;
    } finally {
      this.#shared.admission.forget(request.id);
      this.#collectLater();
    }
  }

  /** Takes effect as running steps end. */
  setMaxConcurrentBuilds(builds: number): void {
    this.#shared.admission.setLimits({ slots: this.#slots, builds });
  }

  /** By the policies, now. */
  collect(): Promise<void> {
    this.#collecting = this.#collecting.then(() => this.#collect());
    return this.#collecting;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    await this.#collecting;
  }

  #collectLater(): void {
    if (this.#timer !== undefined) return;
    const wait = Math.max(COLLECT_AFTER_MS, this.#collectAt - Date.now());
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#collectAt = Date.now() + COLLECT_EVERY_MS;
      void this.collect();
    }, wait).unref();
  }

  async #collect(): Promise<void> {
    const { cache, policies = defaultPolicies, warn } = this.#options;
    try {
      for (const policy of policies(this.disk())) await prune(cache, { policy, disk: this.disk(), nowMs: Date.now() });
    } catch (error) {
      warn(`collect the build cache: ${messageOf(error)}`);
    }
  }

  /** Of the build cache's file system. */
  disk(): DiskSpace {
    const { blocks, bavail, bsize } = statfsSync(this.#options.logDirectory);
    return { totalBytes: blocks * bsize, freeBytes: bavail * bsize };
  }
}
