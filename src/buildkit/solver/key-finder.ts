/**
 * Finds the keys of a build's steps. A key from definitions alone is found without work; where a step takes files, its key is that of their contents, which
 * a fast key leads to when the same sources were read before.
 */

import { BASE_PART, CONTENT_PART, type KeyParts } from "../explain/differences.ts";
import type { FileTree } from "../files/entry.ts";
import type { CopyVertex, GitVertex, RunMount, RunVertex, Vertex } from "../graph/vertex.ts";
import type { BuildCache } from "./cache.ts";
import type { CacheRow } from "./cache-table.ts";
import { type CopySource, fileParts, mountContent, selectFor } from "./copy-selection.ts";

import { chainKey, definitionParts, hashOf, keyOf, mountPart, type StepVertex } from "./key.ts";
import type { LayerStack } from "./ports.ts";

export interface StepKey {
  readonly key: string;
  /** With one per copied file, where they were looked at. */
  readonly parts: () => KeyParts;
  /** Of a copy whose sources were looked at. */
  readonly source: CopySource | undefined;
  /** Of a copy: what its contents are known by without being looked at. */
  readonly fastKey: string | undefined;
}

/** What the finder asks the build for. */
export interface KeySources {
  readonly cache: Pick<BuildCache, "alias" | "setAlias">;
  /** The record of a key: for one build always the same. */
  peek(key: string): CacheRow | undefined;
  /** The result of a step if nothing has to be done for it, from then on its result in this build. */
  knownStack(vertex: StepVertex): Promise<LayerStack | undefined>;
  /** Fails the build because of this vertex. */
  failed(vertex: Vertex, error: unknown): Error;
  /** Evaluates the vertex. */
  outputKeyOf(vertex: Vertex): Promise<string>;
  /** The files of a vertex, which is evaluated or fetched; `asker` is the vertex that waits for it. */
  treeOf(vertex: Vertex, asker: Vertex): Promise<FileTree>;
  /** What stands for a git checkout before it is fetched: its commit. */
  commitOf(vertex: GitVertex): Promise<string>;
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
    return this.sources.peek(key)?.outputKey ?? key;
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
    try {
      return await this.#keyOf(vertex);
    } catch (error) {
      throw this.sources.failed(vertex, error);
    }
  }

  async #keyOf(vertex: StepVertex): Promise<StepKey> {
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
    return { key: keyOf(vertex.kind, parts), parts: () => parts, source: undefined, fastKey: undefined };
  }

  async #copyKey(vertex: CopyVertex): Promise<StepKey> {
    const [base, { content, source, fastKey }] = await Promise.all([
      this.#layersKey(vertex.base),
      this.#copied(vertex),
    ]);
    const parts = { ...definitionParts(vertex), [BASE_PART]: base, [CONTENT_PART]: content };
    const withFiles = () => (source ? { ...parts, ...fileParts(source.selection) } : parts);
    return { key: keyOf("copy", parts), parts: withFiles, source, fastKey };
  }

  /** Whatever the base: both are found at the same time. */
  async #copied(vertex: CopyVertex): Promise<Pick<StepKey, "source" | "fastKey"> & { readonly content: string }> {
    const { from, sources, excludes, parents } = vertex;
    const fastKey = await this.#fastKey(from, ["copy", sources, excludes, parents]);
    const content = fastKey && this.sources.cache.alias(fastKey);
    if (content) return { content, source: undefined, fastKey };
    const source = selectFor(vertex, await this.sources.treeOf(from, vertex));
    if (fastKey) this.sources.cache.setAlias(fastKey, source.content);
    return { content: source.content, source, fastKey };
  }

  async #runKey(vertex: RunVertex): Promise<StepKey> {
    const contents = await Promise.all(vertex.mounts.map((mount) => this.#mounted(vertex, mount)));
    const parts = contents.flatMap((content, i) => (content === undefined ? [] : [[mountPart(i), content] as const]));
    return this.#plainKey(vertex, Object.fromEntries(parts));
  }

  /** Images are known by their layers alone: reading all their files would take longer than most commands. */
  async #mounted(vertex: RunVertex, mount: RunMount): Promise<string | undefined> {
    if ((mount.kind !== "bind" && mount.kind !== "cache") || mount.from === undefined) return undefined;
    const { from, source } = mount;
    if (mount.kind === "cache" || from.kind === "image") return this.outputKey(from);
    const fastKey = await this.#fastKey(from, ["mount", source]);
    const known = fastKey && this.sources.cache.alias(fastKey);
    if (known) return known;
    const content = mountContent(await this.sources.treeOf(from, vertex), source);
    if (fastKey) this.sources.cache.setAlias(fastKey, content);
    return content;
  }

  /**
   * Of what is taken from a source; undefined when the source must be looked at. By layers, not by the step that made them: made anew they may have
   * other contents.
   */
  async #fastKey(from: Vertex, taken: unknown): Promise<string | undefined> {
    const key = isStep(from)
      ? (await this.sources.knownStack(from))?.chainId
      : from.kind === "image"
        ? from.chainId
        : await this.outputKey(from);
    return key && hashOf(key, JSON.stringify(taken));
  }

  async #layersKey(vertex: Vertex): Promise<string> {
    return (await this.outputKey(vertex)) ?? this.sources.outputKeyOf(vertex);
  }
}

const gitText = ({ subdirectory, keepGitDirectory, submodules, remote }: GitVertex): string =>
  hashOf(remote, subdirectory, String(keepGitDirectory), String(submodules));
