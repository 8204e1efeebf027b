/** Builds of small graphs in a MemoryWorld. */
import { join } from "node:path";
import type { FileTree } from "../files/entry.ts";
import type { CopyVertex, RunVertex, Vertex } from "../graph/vertex.ts";
import { vertexId } from "../graph/vertex-id.ts";
import type { BuildEvent } from "../progress.ts";
import { type BuildCache, openCache } from "./cache.ts";
import type { Explanation } from "./explain.ts";
import type { LayerStack } from "./ports.ts";
import { type SolveRequest, Solver } from "./solver.ts";
import { MemoryWorld } from "./world-harness.ts";

const common = {
  location: { file: "Dockerfile", startLine: 1, endLine: 1 },
  ignoreCache: false,
  platform: "linux/amd64",
};

export const scratch: Vertex = { ...common, kind: "scratch", name: "scratch" };
export const context: Vertex = { ...common, kind: "context", name: "context", context: "context", used: [] };

const noLimits = {
  ...{ shmBytes: 0, memoryBytes: 0, memorySwapBytes: 0, cpuShares: 0, cpuPeriodUs: 0, cpuQuotaUs: 0 },
  ...{ cpusetCpus: "", cpusetMems: "", cgroupParent: "", ulimits: [] },
};

export function run(base: Vertex, command: string, options: Partial<RunVertex> = {}): RunVertex {
  return {
    ...common,
    ...{ kind: "run", name: `RUN ${command}`, base, argv: ["/bin/sh", "-c", command], env: [], uncachedEnv: [] },
    ...{ workingDirectory: "/", user: "", mounts: [], network: "default", security: "sandbox", hostname: "" },
    ...{ extraHosts: [], limits: noLimits, pipes: [] },
    ...options,
  };
}

export function copy(base: Vertex, from: Vertex, options: Partial<CopyVertex> = {}): CopyVertex {
  return {
    ...common,
    ...{ kind: "copy", name: "COPY", base, from, sources: ["/"], destination: "/", owner: undefined },
    ...{ chmod: undefined, excludes: [], parents: false, unpack: "never", dialect: "buildkit" },
    ...options,
  };
}

export const workdir = (base: Vertex, path: string, owner?: string): Vertex => ({
  ...{ ...common, kind: "directory", name: `WORKDIR ${path}`, base, path, owner },
});

export class Bench implements AsyncDisposable {
  readonly world = new MemoryWorld();
  readonly warnings: string[] = [];
  cache: BuildCache;
  solver: Solver;
  #serial = 0;

  constructor(private readonly maxConcurrentBuilds = 100) {
    this.cache = this.#openCache();
    this.solver = this.#openSolver();
  }

  #openCache() {
    const { layers, holds, directory } = this.world;
    return openCache({ path: join(directory, "cache.db"), layers, holds, warn: (text) => this.warnings.push(text) });
  }

  #openSolver() {
    const { world } = this;
    return new Solver({
      world: { ...world, layers: world.layers, scratchDirectory: join(world.directory, "scratch") },
      cache: this.cache,
      logDirectory: join(world.directory, "logs"),
      maxConcurrentBuilds: this.maxConcurrentBuilds,
      slots: { command: 8, transfer: 8, hash: 8 },
      warn: (text) => this.warnings.push(text),
      policies: () => [],
    });
  }

  /** As a builder that was killed comes back. */
  async restart(): Promise<void> {
    await this.solver[Symbol.asyncDispose]();
    this.cache[Symbol.dispose]();
    this.cache = this.#openCache();
    await this.cache.reconcile();
    this.solver = this.#openSolver();
  }

  start(targets: readonly Vertex[], options: Partial<SolveRequest> & { readonly files?: FileTree } = {}): Build {
    const events: BuildEvent[] = [];
    const explanations: Explanation[] = [];
    const abort = new AbortController();
    const { files = { entries: [], source: { kind: "store", directory: "/" } }, ...others } = options;
    const done = this.solver
      .build({
        ...{ id: `build${this.#serial++}`, dialect: "buildkit", targets, signal: abort.signal },
        contexts: { tree: async () => files },
        downloads: {
          http: async () => files,
          git: async () => ({ commit: "c", tree: async () => files }),
        },
        secrets: { secret: async () => undefined, sshAgent: async () => undefined },
        listener: (event) => events.push(event),
        onExplained: (explanation) => explanations.push(explanation),
        ...others,
      })
      .then((result) => {
        result[Symbol.dispose]();
        return targets.map((target) => result.stacks.get(vertexId(target))!);
      });
    done.catch(() => undefined);
    return { events, explanations, abort, done };
  }

  async build(targets: readonly Vertex[], options: Parameters<Bench["start"]>[1] = {}): Promise<Finished> {
    const { done, ...build } = this.start(targets, options);
    return { ...build, stacks: await done };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.solver[Symbol.asyncDispose]();
    this.cache[Symbol.dispose]();
    this.world[Symbol.dispose]();
  }
}

export interface Build {
  readonly events: readonly BuildEvent[];
  readonly explanations: readonly Explanation[];
  readonly abort: AbortController;
  readonly done: Promise<readonly LayerStack[]>;
}

export type Finished = Omit<Build, "done"> & { readonly stacks: readonly LayerStack[] };

/** "started NAME", "completed NAME cached" in the order of the events. */
export function story({ events }: Pick<Build, "events">): readonly string[] {
  const names = new Map(events.flatMap((event) => (event.kind === "vertex" ? [[event.id, event.name] as const] : [])));
  return events.flatMap((event) => {
    if (event.kind === "started") return [`started ${names.get(event.id)}`];
    if (event.kind !== "completed") return [];
    const how = event.error !== "" ? `: ${event.error}` : event.cached ? " cached" : "";
    return [`completed ${names.get(event.id)}${how}`];
  });
}

export const logOf = ({ events }: Pick<Build, "events">): string =>
  events.map((event) => (event.kind === "log" ? Buffer.from(event.data).toString() : "")).join("");

/** Until the condition holds; a turn of the loop at a time. */
export async function until(condition: () => boolean): Promise<void> {
  const giveUpAt = Date.now() + 20_000;
  while (!condition()) {
    if (Date.now() > giveUpAt) throw new Error("the condition never came true");
    await new Promise((resolve) => setImmediate(resolve));
  }
}
