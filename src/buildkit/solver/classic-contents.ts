/**
 * What the classic builder's history calls that which a COPY takes ("dir:<hash>"). All bytes have to be read for it, so it is remembered: by what is
 * known of the source without looking at it, and by headers and contents. Builds that want the same at once wait for the first.
 */
import { createHash } from "node:crypto";
import { type CopyHashPlan, type HeaderAndFile, planCopyHash } from "../graph/classic-hash.ts";
import type { CopyVertex } from "../graph/vertex.ts";
import type { BuildCache } from "./cache.ts";
import type { CopySource } from "./copy-selection.ts";
import { hashOf } from "./key.ts";
import type { Files } from "./ports.ts";

export interface ClassicContentsOptions {
  readonly cache: Pick<BuildCache, "alias" | "setAlias">;
  readonly files: Pick<Files, "hashAfter">;
}

export interface ClassicContentRequest {
  readonly vertex: CopyVertex;
  /** Of its source, where one is known. */
  readonly fastKey: string | undefined;
  readonly source: () => Promise<CopySource>;
  /** A slot for reading files. */
  readonly slot: () => Promise<Disposable>;
  readonly signal: AbortSignal;
}

type Reading = Pick<ClassicContentRequest, "slot" | "signal"> & { readonly source: CopySource };

export class ClassicContents {
  readonly #reading = new Map<string, Promise<string>>();

  constructor(private readonly options: ClassicContentsOptions) {}

  async of({ vertex, fastKey, source, ...rest }: ClassicContentRequest): Promise<string> {
    const { cache } = this.options;
    const alias = fastKey && hashOf("classic", fastKey);
    const known = alias && cache.alias(alias);
    if (known) return known;
    const copied = await source();
    const isContext = vertex.from.kind === "context";
    const plan = planCopyHash(copied.selection.sources, { tree: copied.tree, isContext });
    const content = await this.#hash(plan, { source: copied, ...rest });
    if (alias) cache.setAlias(alias, content);
    return content;
  }

  async #hash(plan: CopyHashPlan, reading: Reading): Promise<string> {
    const { cache } = this.options;
    const identity = hashOf("classic files", plan.put(plan.files.map(identityOf)));
    for (;;) {
      const known = cache.alias(identity);
      if (known) return known;
      const others = this.#reading.get(identity);
      if (others === undefined) break;
      await others.catch(() => undefined); // Told to its own build; then it is this one's turn.
      reading.signal.throwIfAborted();
    }
    const made = this.#read(plan, reading);
    this.#reading.set(identity, made);
    try {
      const content = await made;
      cache.setAlias(identity, content);
      return content;
    } finally {
      this.#reading.delete(identity);
    }
  }

  async #read({ files, put }: CopyHashPlan, { source, slot, signal }: Reading): Promise<string> {
    using _slot = await slot();
    return put(await this.options.files.hashAfter(source.tree, files, signal));
  }
}

/** Equal for what has an equal hash. */
const identityOf = ({ header, sha256 }: HeaderAndFile): string =>
  createHash("sha256").update(header).update(`\0${sha256}`).digest("hex");
