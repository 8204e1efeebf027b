/**
 * Finds the keys of a build's steps. A key from definitions alone is found without work; where a step takes files, its key is that of their contents, which
 * a fast key leads to when the same sources were read before.
 */
import type { FileTree } from "../files/entry.ts";
import type { CopyVertex, RunMount, RunVertex, Vertex } from "../graph/vertex.ts";
import type { BuildCache } from "./cache.ts";
import type { KeyParts } from "./cache-table.ts";
import { type CopySource, fileParts, mountContent, selectFor } from "./copy-selection.ts";
import { BASE_PART, CONTENT_PART } from "./explain.ts";
import { chainKey, definitionParts, hashOf, keyOf, mountPart, type StepVertex } from "./key.ts";

export interface StepKey {
  readonly key: string;
  /** Undefined when the key was found without reading the sources. */
  readonly parts: (() => KeyParts) | undefined;
  /** Of a copy whose sources were read. */
  readonly source: CopySource | undefined;
}

/** What the finder asks the build for. */
export interface KeySources {
  readonly cache: Pick<BuildCache, "peek" | "alias" | "setAlias">;
  /** Evaluates the vertex. */
  outputKeyOf(vertex: Vertex): Promise<string>;
  /** The files of a vertex, which is evaluated or fetched; `asker` is the vertex that waits for it. */
  treeOf(vertex: Vertex, asker: Vertex): Promise<FileTree>;
  /** What stands for a git checkout before it is fetched: its commit. */
  commitOf(vertex: Extract<Vertex, { readonly kind: "git" }>): Promise<string>;
}

export const isStep = (vertex: Vertex): vertex is StepVertex =>
  ["copy", "write", "directory", "run", "merge"].includes(vertex.kind);

export class KeyFinder {
  readonly #keys = new Map<StepVertex, Promise<StepKey>>();

  constructor(private readonly sources: KeySources) {}

  /** What the keys of its users are made of. Undefined for what only its contents tell. */
  async outputKey(vertex: Vertex): Promise<string | undefined> {
    if (vertex.kind === "scratch") return chainKey("");
    if (vertex.kind === "image") return chainKey(vertex.chainId);
    if (vertex.kind === "git")
      return keyOf("git", { commit: await this.sources.commitOf(vertex), definition: gitText(vertex) });
    if (!isStep(vertex)) return undefined;
    if (vertex.ignoreCache) return this.sources.outputKeyOf(vertex);
    const { key } = await this.key(vertex);
    return this.sources.cache.peek(key)?.outputKey ?? key;
  }

  key(vertex: StepVertex): Promise<StepKey> {
    const known = this.#keys.get(vertex);
    if (known) return known;
    const found = this.#find(vertex);
    found.catch(() => undefined); // Told to those that wait for it.
    this.#keys.set(vertex, found);
    return found;
  }

  async #find(vertex: StepVertex): Promise<StepKey> {
    // Chains may have thousands of steps: each is a turn of its own.
    await undefined;
    switch (vertex.kind) {
      case "copy":
        return this.#copyKey(vertex);
      case "run":
        return this.#runKey(vertex);
      case "merge":
        return this.#plainKey(vertex, { layer: await this.#layersKey(vertex.layer) });
      default:
        return this.#plainKey(vertex, {});
    }
  }

  async #plainKey(vertex: StepVertex, inputs: KeyParts): Promise<StepKey> {
    const parts = { ...definitionParts(vertex), ...inputs, [BASE_PART]: await this.#layersKey(vertex.base) };
    return { key: keyOf(vertex.kind, parts), parts: () => parts, source: undefined };
  }

  async #copyKey(vertex: CopyVertex): Promise<StepKey> {
    const [base, from] = await Promise.all([this.#layersKey(vertex.base), this.outputKey(vertex.from)]);
    const parts = { ...definitionParts(vertex), [BASE_PART]: base };
    const taken = hashOf(JSON.stringify([vertex.sources, vertex.excludes, vertex.parents]));
    const fastKey = from && keyOf("copy", { ...parts, from, taken });
    const known = this.#knownByFastKey(vertex, fastKey);
    if (known) return { key: known, parts: undefined, source: undefined };
    const source = selectFor(vertex, await this.sources.treeOf(vertex.from, vertex));
    const whole = { ...parts, [CONTENT_PART]: source.content };
    const key = keyOf("copy", whole);
    if (fastKey) this.sources.cache.setAlias(fastKey, key);
    return { key, parts: () => ({ ...whole, ...fileParts(source.selection) }), source };
  }

  async #runKey(vertex: RunVertex): Promise<StepKey> {
    const inputs = await this.#mountKeys(vertex);
    const fast = await this.#plainKey(vertex, inputs.fast);
    if (inputs.needContents.length === 0) return fast;
    const isFast = inputs.needContents.every(([, , from]) => from !== undefined);
    const fastKey = isFast ? `${fast.key} fast` : undefined;
    const known = this.#knownByFastKey(vertex, fastKey);
    if (known) return { key: known, parts: undefined, source: undefined };
    const contents = await Promise.all(
      inputs.needContents.map(async ([i, mount]) => {
        const tree = await this.sources.treeOf(mount.from, vertex);
        return [mountPart(i), mountContent(tree, mount.source)] as const;
      }),
    );
    const slow = await this.#plainKey(vertex, { ...inputs.fast, ...Object.fromEntries(contents) });
    if (fastKey) this.sources.cache.setAlias(fastKey, slow.key);
    return slow;
  }

  /** Images are known by their layers alone: reading all their files would take longer than most commands. */
  async #mountKeys({ mounts }: RunVertex): Promise<MountKeys> {
    const fast: Record<string, string> = {};
    const needContents: NeedsContents[] = [];
    for (const [i, mount] of mounts.entries()) {
      if ((mount.kind !== "bind" && mount.kind !== "cache") || mount.from === undefined) continue;
      const from = await this.outputKey(mount.from);
      if (from !== undefined) fast[mountPart(i)] = from;
      if (mount.kind === "bind" && mount.from.kind !== "image") needContents.push([i, mount, from]);
    }
    return { fast, needContents };
  }

  #knownByFastKey(vertex: StepVertex, fastKey: string | undefined): string | undefined {
    if (fastKey === undefined || vertex.ignoreCache) return undefined;
    const key = this.sources.cache.alias(fastKey);
    return key !== undefined && this.sources.cache.peek(key) ? key : undefined;
  }

  async #layersKey(vertex: Vertex): Promise<string> {
    return (await this.outputKey(vertex)) ?? this.sources.outputKeyOf(vertex);
  }
}

type Bind = Extract<RunMount, { readonly kind: "bind" }>;
type NeedsContents = readonly [index: number, mount: Bind, from: string | undefined];

interface MountKeys {
  readonly fast: KeyParts;
  readonly needContents: readonly NeedsContents[];
}

const gitText = ({ subdirectory, keepGitDirectory, remote }: Extract<Vertex, { readonly kind: "git" }>): string =>
  hashOf(remote, subdirectory, String(keepGitDirectory));
