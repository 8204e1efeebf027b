/** Files that a build copies from: of contexts, downloads, checkouts and of other steps. Each is fetched or read once in a build. */
import { HullError } from "../../platform/errors.ts";
import type { FileTree } from "../files/entry.ts";
import type { ContextVertex, GitVertex, HttpVertex, Vertex } from "../graph/vertex.ts";
import { vertexId } from "../graph/vertex-id.ts";
import type { Contexts, Downloads, Files, LayerStack, Layers } from "./ports.ts";
import type { Teller } from "./teller.ts";

export interface SourceTreesOptions {
  readonly contexts: Contexts;
  readonly downloads: Downloads;
  readonly layers: Pick<Layers, "directories">;
  readonly files: Pick<Files, "index">;
  readonly teller: Teller;
  readonly signal: AbortSignal;
  readonly stackOf: (vertex: Vertex) => Promise<LayerStack>;
  /** A slot for reading files, on behalf of the vertex that waits. */
  readonly hashSlot: (asker: Vertex) => Promise<Disposable>;
  /** Fails the build because of this vertex. */
  readonly failed: (vertex: Vertex, error: unknown) => Error;
}

type External = ContextVertex | HttpVertex | GitVertex;
type Checkout = Awaited<ReturnType<Downloads["git"]>>;

export class SourceTrees {
  readonly #trees = new Map<string, Promise<FileTree>>();
  readonly #checkouts = new Map<string, Promise<Checkout>>();

  constructor(private readonly options: SourceTreesOptions) {}

  tree(vertex: Vertex, asker: Vertex): Promise<FileTree> {
    return once(this.#trees, vertexId(vertex), () =>
      isExternal(vertex) ? this.#external(vertex) : this.#ofLayers(vertex, asker),
    );
  }

  async commit(vertex: GitVertex): Promise<string> {
    return (await this.#checkout(vertex)).commit;
  }

  async #external(vertex: External): Promise<FileTree> {
    const { teller, failed } = this.options;
    try {
      teller.started(vertex);
      const tree = await this.#fetch(vertex);
      teller.completed(vertex);
      return tree;
    } catch (error) {
      throw failed(vertex, error);
    }
  }

  async #fetch(vertex: External): Promise<FileTree> {
    const { contexts, downloads, signal } = this.options;
    switch (vertex.kind) {
      case "context":
        return contexts.tree(vertex, signal);
      case "http":
        return downloads.http(vertex, signal);
      case "git":
        return (await this.#checkout(vertex)).tree();
    }
  }

  #checkout(vertex: GitVertex): Promise<Checkout> {
    const { downloads, signal, failed } = this.options;
    return once(this.#checkouts, vertexId(vertex), async () => {
      try {
        return await downloads.git(vertex, signal);
      } catch (error) {
        throw failed(vertex, error);
      }
    });
  }

  async #ofLayers(vertex: Vertex, asker: Vertex): Promise<FileTree> {
    const { layers, files, stackOf, hashSlot, signal } = this.options;
    const directories = await layers.directories(await stackOf(vertex));
    if (directories.length === 0) return { entries: [], source: { kind: "layers", directories: [] } };
    using _slot = await hashSlot(asker);
    return await files.index(directories, "/", signal);
  }
}

const isExternal = (vertex: Vertex): vertex is External => ["context", "http", "git"].includes(vertex.kind);

export const noLayersOf = (vertex: Vertex): HullError =>
  new HullError("invalid-argument", `${vertex.name}: files of a ${vertex.kind} are no file system to build on`);

function once<T>(known: Map<string, Promise<T>>, id: string, begin: () => Promise<T>): Promise<T> {
  const found = known.get(id);
  if (found) return found;
  const begun = begin();
  begun.catch(() => undefined); // Told to those that wait for it.
  known.set(id, begun);
  return begun;
}
