/**
 * One build's way through its graph. Every vertex is evaluated once, when somebody needs it: its key, then the cache, then its inputs, then the work,
 * which it shares with other builds that want the same. The first failure ends the build; what only it wanted is aborted.
 */
import { HullError } from "../../platform/errors.ts";
import type { ImageVertex, RunVertex, Vertex } from "../graph/vertex.ts";
import { inputsOf, vertexId } from "../graph/vertex-id.ts";
import type { Pins } from "./cache.ts";
import type { CacheRow } from "./cache-table.ts";
import { type CopySource, selectFor } from "./copy-selection.ts";
import { StepError } from "./failure.ts";
import { inOrder } from "./graph-order.ts";
import { chainKey, type StepVertex } from "./key.ts";
import { isStep, KeyFinder, type StepKey } from "./key-finder.ts";
import { laidOut } from "./laid-out.ts";
import type { LayerStack } from "./ports.ts";
import type { Shared, SolveRequest } from "./solver.ts";
import { noLayersOf, SourceTrees } from "./source-trees.ts";
import { execute } from "./step.ts";
import { StepExplainer } from "./step-explainer.ts";
import { Teller } from "./teller.ts";
import { NO_LAYERS } from "./work.ts";

export interface Solved {
  readonly stack: LayerStack;
  readonly outputKey: string;
  /** "dir:<hash>" of what a copy of the classic builder's selected; "" for others. */
  readonly content: string;
  readonly cached: boolean;
}

export class BuildRun {
  readonly #abort = new AbortController();
  readonly #signal: AbortSignal;
  readonly #teller: Teller;
  readonly #explainer: StepExplainer;
  readonly #keys: KeyFinder;
  readonly #trees: SourceTrees;
  readonly #solved = new Map<string, Promise<Solved>>();
  readonly #rows = new Map<string, CacheRow>();
  #failure: StepError | undefined;

  constructor(
    private readonly shared: Shared,
    private readonly request: SolveRequest,
    private readonly pins: Pins,
  ) {
    this.#signal = AbortSignal.any([this.#abort.signal, request.signal]);
    this.#teller = new Teller(request.listener, shared.nowNs);
    this.#explainer = new StepExplainer(shared.cache, request.project ?? "", (explanation) =>
      request.onExplained?.(explanation),
    );
    this.#trees = new SourceTrees({
      ...{ contexts: request.contexts, downloads: request.downloads, teller: this.#teller, signal: this.#signal },
      ...{ layers: shared.world.layers, files: shared.world.files },
      stackOf: async (vertex) => (await this.evaluate(vertex)).stack,
      hashSlot: (asker) => this.#hashSlot(asker),
      failed: (vertex, error) => this.#failed(vertex, error),
    });
    this.#keys = new KeyFinder({
      cache: shared.cache,
      peek: (key) => this.#peek(key),
      knownStack: async (vertex) => (await this.#known(vertex))?.stack,
      failed: (vertex, error) => this.#failed(vertex, error),
      outputKeyOf: async (vertex) => (await this.evaluate(vertex)).outputKey,
      treeOf: (vertex, asker) => this.#trees.tree(vertex, asker),
      commitOf: (vertex) => this.#trees.commit(vertex),
    });
  }

  /** Throws the StepError of the first failure, `cancelled` after an abort; by then nothing of the build's own goes on. */
  async solve(): Promise<ReadonlyMap<string, Solved>> {
    const vertices = inOrder(this.request.targets);
    for (const vertex of vertices) this.#teller.introduce(vertex);
    try {
      const solved = await Promise.all(this.request.targets.map((target) => this.evaluate(target)));
      for (const vertex of vertices) this.#teller.completed(vertex, { cached: true });
      return new Map(this.request.targets.map((target, i) => [vertexId(target), solved[i]!]));
    } catch (error) {
      this.#abort.abort(this.#failure ?? error);
      // One that was begun meanwhile ends soon: it sees the abort first.
      for (let seen = -1; seen !== this.#solved.size; ) {
        seen = this.#solved.size;
        await Promise.allSettled(this.#solved.values());
      }
      this.#teller.cancelled(vertices);
      if (this.#failure) throw this.#failure;
      if (this.request.signal.aborted)
        throw new HullError("cancelled", `build ${this.request.id} was cancelled`, { cause: error });
      throw error;
    }
  }

  evaluate(vertex: Vertex): Promise<Solved> {
    return this.#solved.get(vertexId(vertex)) ?? this.#remember(vertex, this.#evaluate(vertex));
  }

  /** The vertex's result in this build from now on. */
  #remember(vertex: Vertex, solved: Promise<Solved>): Promise<Solved> {
    const told = solved.then((one) => {
      this.request.onSolved?.(vertex, one);
      return one;
    });
    told.catch(() => undefined); // Told to those that wait for it.
    this.#solved.set(vertexId(vertex), told);
    return told;
  }

  async #evaluate(vertex: Vertex): Promise<Solved> {
    try {
      this.#signal.throwIfAborted();
      if (vertex.kind === "scratch") return this.#found(vertex, NO_LAYERS);
      if (vertex.kind === "image") return this.#found(vertex, await this.#imageStack(vertex));
      if (isStep(vertex)) return await this.#withContent(vertex, await this.#step(vertex));
      throw noLayersOf(vertex);
    } catch (error) {
      throw this.#failed(vertex, error);
    }
  }

  #found(vertex: Vertex, stack: LayerStack): Solved {
    this.#teller.completed(vertex, { cached: true });
    return { stack, outputKey: chainKey(stack.chainId), content: "", cached: true };
  }

  async #imageStack({ chainId, reference }: ImageVertex): Promise<LayerStack> {
    if (chainId === "") return NO_LAYERS;
    const stack = await this.shared.world.layers.find(chainId);
    if (stack) return stack;
    throw new HullError(
      "not-found",
      `the layers of ${reference} are not there any more: build with --pull, or pull it`,
    );
  }

  async #step(vertex: StepVertex): Promise<Solved> {
    const key = await this.#keys.key(vertex);
    for (let inputs: Inputs | undefined; ; inputs ??= await this.#inputs(vertex, key)) {
      const hit = await this.#cached(vertex, key);
      if (hit) return hit;
      if (inputs === undefined) this.#explainer.miss(vertex, key);
      // Another build may have done it while we looked or waited.
      const isDone = !vertex.ignoreCache && !this.#isRunning(vertex, key) && this.shared.cache.peek(key.key);
      if (inputs !== undefined && !isDone) return this.#work(vertex, key, inputs);
    }
  }

  async #cached(vertex: StepVertex, key: StepKey): Promise<Solved | undefined> {
    if (vertex.ignoreCache || this.#isRunning(vertex, key)) return undefined;
    const row = this.#peek(key.key);
    const hit = row && (await this.shared.cache.find(row, this.pins));
    if (hit === undefined) {
      this.#rows.delete(key.key);
      return undefined;
    }
    this.#explainer.hit(vertex, key);
    this.#teller.completed(vertex, { cached: true });
    await this.#tellInputsCached(vertex);
    return { stack: hit.stack, outputKey: hit.row.outputKey, content: "", cached: true };
  }

  /** A result that others may have replaced meanwhile stays this build's. */
  #peek(key: string): CacheRow | undefined {
    const row = this.#rows.get(key) ?? this.shared.cache.peek(key);
    if (row !== undefined) {
      this.#rows.set(key, row);
      this.pins.add(key);
    }
    return row;
  }

  async #known(vertex: StepVertex): Promise<Solved | undefined> {
    const id = vertexId(vertex);
    if (this.#solved.has(id) || vertex.ignoreCache) return this.evaluate(vertex);
    const hit = await this.#cached(vertex, await this.#keys.key(vertex));
    return this.#solved.get(id) ?? (hit && this.#remember(vertex, this.#withContent(vertex, hit)));
  }

  /** Its history says what a copy took. */
  async #withContent(vertex: StepVertex, solved: Solved): Promise<Solved> {
    if (vertex.kind !== "copy" || vertex.dialect !== "classic") return solved;
    const key = await this.#keys.key(vertex);
    const content = await this.shared.classicContents.of({
      ...{ vertex, fastKey: key.fastKey, signal: this.#signal },
      source: () => this.#copySource(vertex, key),
      slot: () => this.#hashSlot(vertex),
    });
    return { ...solved, content };
  }

  /** Steps that are not looked at because of a hit, but are in the cache themselves. */
  async #tellInputsCached(vertex: Vertex): Promise<void> {
    const pending = [...inputsOf(vertex)];
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      if (!isStep(next) || next.ignoreCache || this.#solved.has(vertexId(next))) continue;
      if (this.#teller.isCompleted(next)) continue;
      this.#teller.completed(next, { cached: true });
      this.#explainer.hit(next, await this.#keys.key(next)); // The hit's key was made of it.
      pending.push(...inputsOf(next));
    }
  }

  async #inputs(vertex: StepVertex, key: StepKey): Promise<Inputs> {
    const stackOf = async (input: Vertex): Promise<LayerStack> => (await this.evaluate(input)).stack;
    const sources = vertex.kind === "run" ? this.#mountSources(vertex) : [];
    const layer = vertex.kind === "merge" ? [vertex.layer] : [];
    const [base, others, mounts, copied] = await Promise.all([
      stackOf(vertex.base),
      Promise.all(layer.map(stackOf)),
      Promise.all(sources.map((source) => (source === undefined ? undefined : stackOf(source)))),
      vertex.kind === "copy" ? this.#copySource(vertex, key) : undefined,
    ]);
    return { base, layer: others[0], mounts, copied };
  }

  /** Files of contexts become layers of their own, which other builds share. */
  #mountSources({ mounts }: RunVertex): readonly (Vertex | undefined)[] {
    return mounts.map((mount) => {
      if ((mount.kind !== "bind" && mount.kind !== "cache") || mount.from === undefined) return undefined;
      return laidOut(mount.from, mount.source);
    });
  }

  async #work(vertex: StepVertex, key: StepKey, inputs: Inputs): Promise<Solved> {
    const { jobs } = this.shared;
    this.pins.add(key.key);
    const watcher = {
      listener: (event: Parameters<Teller["pass"]>[1]) => this.#teller.pass(vertex, event),
      secrets: this.request.secrets,
      signal: this.#signal,
    };
    const solved = await jobs.run(jobKey(vertex, key), watcher, async (job) => {
      using _kept = this.request.retain?.();
      const { id: build, spanOf } = this.request;
      const span = () => spanOf?.(vertexId(vertex));
      return await execute({ vertex, key: key.key, inputs, job, shared: this.shared, build, span });
    });
    this.#teller.completed(vertex);
    return solved;
  }

  async #copySource(vertex: Extract<StepVertex, { readonly kind: "copy" }>, { source }: StepKey): Promise<CopySource> {
    return source ?? selectFor(vertex, await this.#trees.tree(vertex.from, vertex));
  }

  #isRunning(vertex: StepVertex, key: StepKey): boolean {
    return this.shared.jobs.has(jobKey(vertex, key));
  }

  #hashSlot(asker: Vertex): Promise<Disposable> {
    return this.shared.admission.acquire({
      ...{ build: this.request.id, kind: "hash", cost: 1, signal: this.#signal },
      onWaiting: (ahead) => this.#teller.pass(asker, { kind: "waiting", atNs: this.shared.nowNs(), ahead }),
    });
  }

  #failed(vertex: Vertex, error: unknown): Error {
    if (error instanceof StepError) return error;
    if (this.#signal.aborted) return error instanceof Error ? error : new HullError("cancelled", String(error));
    const failure = new StepError(vertex, error, this.request.dialect);
    this.#failure ??= failure;
    this.#teller.completed(vertex, { error: failure.message });
    this.#abort.abort(failure);
    return failure;
  }
}

export interface Inputs {
  readonly base: LayerStack;
  /** Of a merge. */
  readonly layer: LayerStack | undefined;
  /** Of a command's mounts. */
  readonly mounts: readonly (LayerStack | undefined)[];
  /** Of a copy. */
  readonly copied: CopySource | undefined;
}

/** Who wants it anew does not take what was begun for those who do not. */
const jobKey = ({ ignoreCache }: StepVertex, { key }: StepKey): string => (ignoreCache ? `fresh ${key}` : key);
