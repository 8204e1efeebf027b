/**
 * The build cache: by key the result of a step. A result is believed only when hull-containerd still has its layers, and recorded only after they
 * are committed and held; so a builder that is killed at any point leaves at most a held snapshot without a record, which `reconcile` lets go.
 * Lifecycle: `openCache` -> `reconcile` once -> `find` and `store`, pinned for the builds that use them -> disposal.
 */
import { messageOf } from "../../platform/errors.ts";
import { isNoSpace } from "../../platform/reserve.ts";
import type { KeyParts } from "../explain/differences.ts";
import { type CacheRow, type CacheTable, openCacheTable } from "./cache-table.ts";
import type { Holds, LayerStack, Layers } from "./ports.ts";

export interface CacheOptions {
  readonly path: string;
  readonly layers: Pick<Layers, "find">;
  readonly holds: Holds;
  readonly warn: (message: string) => void;
  /** Layers that images use: removing their records frees nothing. */
  readonly isShared?: (chainId: string) => boolean;
  readonly nowMs?: () => number;
}

/** Keys that a build uses: nothing removes their records until it is disposed of. */
export interface Pins extends Disposable {
  add(key: string): void;
}

export interface CacheHit {
  readonly row: CacheRow;
  readonly stack: LayerStack;
}

export type NewResult = Pick<CacheRow, "key" | "outputKey" | "kind" | "description" | "content"> & {
  readonly base: LayerStack;
  readonly stack: LayerStack;
};

export class BuildCache implements Disposable {
  readonly #table: CacheTable;
  readonly #options: CacheOptions;
  readonly #pinned = new Map<string, number>();
  /** By key: layers of former results that builds may still use. */
  readonly #replaced = new Map<string, Set<string>>();
  /** Holds and the records that need them change one after the other. */
  #changing: Promise<unknown> = Promise.resolve();

  constructor(table: CacheTable, options: CacheOptions) {
    this.#table = table;
    this.#options = options;
  }

  /** Lets go of what no record names, and holds again what one does. Before the first build. */
  async reconcile(): Promise<void> {
    const held = new Set(await this.#options.holds.list());
    const named = new Set(this.#table.list().map(({ chainId }) => chainId));
    for (const chainId of held) if (!named.has(chainId)) await this.#options.holds.release(chainId);
    for (const row of this.#table.list()) {
      if (row.chainId === "" || held.has(row.chainId)) continue;
      if (await this.#options.layers.find(row.chainId)) await this.#options.holds.hold(row.chainId);
      else this.#table.remove([row.key]);
    }
    this.#table.trim();
  }

  /** `counts`: it is a use of the results. */
  pins({ counts = true } = {}): Pins {
    const keys = new Set<string>();
    return {
      add: (key) => {
        if (keys.has(key)) return;
        keys.add(key);
        this.#pinned.set(key, (this.#pinned.get(key) ?? 0) + 1);
      },
      [Symbol.dispose]: () => {
        for (const key of keys) {
          const left = this.#pinned.get(key)! - 1;
          if (left > 0) this.#pinned.set(key, left);
          else this.#unpinned(key);
        }
        if (counts) this.#written(() => this.#table.touch(keys, this.#nowMs()));
        keys.clear();
      },
    };
  }

  isPinned(key: string): boolean {
    return this.#pinned.has(key);
  }

  /** Looks at the record alone. */
  peek(key: string): CacheRow | undefined {
    return this.#table.find(key);
  }

  /** The result of a record that was peeked at, pinned. Undefined: its layers have gone, and so does the record. */
  async find(row: CacheRow, pins: Pins): Promise<CacheHit | undefined> {
    pins.add(row.key);
    const stack = row.chainId === "" ? { chainId: "", layers: [] } : await this.#options.layers.find(row.chainId);
    if (stack !== undefined) return { row, stack: { chainId: row.chainId, layers: row.layers } };
    if (this.#table.find(row.key)?.chainId === row.chainId) await this.remove([row]);
    return undefined;
  }

  /** After the commit. On a full disk the result is good, but not remembered. */
  async store(result: NewResult, pins: Pins): Promise<void> {
    const { base, stack, ...rest } = result;
    const before = this.#table.find(result.key);
    const added = stack.chainId === base.chainId ? 0 : (stack.layers.at(-1)?.unpackedBytes ?? 0);
    const row: CacheRow = {
      ...rest,
      chainId: stack.chainId,
      parentChainId: base.chainId,
      layers: stack.layers,
      sizeBytes: added,
      createdAtMs: this.#nowMs(),
      lastUsedAtMs: 0,
      usageCount: 0,
    };
    pins.add(result.key);
    await this.#inTurn(async () => {
      if (stack.chainId !== "") await this.#options.holds.hold(stack.chainId);
      this.#written(() => this.#table.insert(row));
    });
    if (before === undefined || before.chainId === stack.chainId) return;
    const replaced = this.#replaced.get(result.key) ?? new Set();
    this.#replaced.set(result.key, replaced.add(before.chainId));
  }

  list(): readonly CacheRow[] {
    return this.#table.list();
  }

  isShared(chainId: string): boolean {
    return this.#options.isShared?.(chainId) ?? false;
  }

  async remove(rows: readonly CacheRow[]): Promise<void> {
    this.#table.remove(rows.map(({ key }) => key));
    await this.#letGo(rows.map(({ chainId }) => chainId));
  }

  /** The hash of contents that is known without looking at them. */
  alias(fastKey: string): string | undefined {
    return this.#table.alias(fastKey);
  }

  setAlias(fastKey: string, content: string): void {
    this.#written(() => this.#table.setAlias(fastKey, content, this.#nowMs()));
  }

  parts(step: string): { readonly key: string; readonly parts: KeyParts } | undefined {
    return this.#table.parts(step);
  }

  /** Unless they are remembered already. */
  setParts(step: string, key: string, parts: () => KeyParts): void {
    if (this.#table.partsKey(step) === key) return;
    this.#written(() => this.#table.setParts(step, { key, parts: parts() }, this.#nowMs()));
  }

  [Symbol.dispose](): void {
    this.#table[Symbol.dispose]();
  }

  #nowMs(): number {
    return this.#options.nowMs?.() ?? Date.now();
  }

  #unpinned(key: string): void {
    this.#pinned.delete(key);
    const replaced = this.#replaced.get(key);
    if (!this.#replaced.delete(key)) return;
    this.#letGo([...replaced!]).catch((error) =>
      this.#options.warn(`let go of replaced results: ${messageOf(error)}; tried again at the next start`),
    );
  }

  #letGo(chainIds: readonly string[]): Promise<void> {
    return this.#inTurn(async () => {
      for (const chainId of new Set(chainIds))
        if (chainId !== "" && !this.#table.names(chainId)) await this.#options.holds.release(chainId);
    });
  }

  async #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#changing.then(work);
    this.#changing = turn.catch(() => undefined); // Told to the caller.
    await turn;
  }

  #written(write: () => void): void {
    try {
      write();
    } catch (error) {
      if (!isNoSpace(error)) throw error;
      this.#options.warn(`the build cache cannot be written: ${messageOf(error)}`);
    }
  }
}

export const openCache = (options: CacheOptions): BuildCache => new BuildCache(openCacheTable(options.path), options);
