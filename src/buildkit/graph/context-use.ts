/** Which directories of the client a build uses, and what of them. */
import { posix } from "node:path";
import type { UsedContext } from "./plan.ts";
import type { ContextVertex } from "./vertex.ts";

interface Use {
  readonly vertex: ContextVertex;
  readonly paths: Set<string>;
}

/**
 * Hands out one vertex per directory, whoever asks; what is used of it grows while the graph is made.
 * Lifecycle: vertices and notes -> finish, after which the vertices are what they will be.
 */
export class ContextUse {
  readonly #uses = new Map<string, Use>();

  constructor(private readonly platform: string) {}

  /** `label`: the name that the Dockerfile knows it by; the main context has none. */
  vertex(context: string, label = ""): ContextVertex {
    const known = this.#uses.get(context);
    if (known) return known.vertex;
    const name = label === "" ? "[internal] load build context" : `[context ${label}] load from client`;
    const shared = { name, location: undefined, ignoreCache: false, platform: this.platform };
    const vertex: ContextVertex = { ...shared, kind: "context", context, used: [] };
    this.#uses.set(context, { vertex, paths: new Set() });
    return vertex;
  }

  /** A path or pattern of a source that may be one of these directories. */
  note(vertex: unknown, path: string): void {
    for (const use of this.#uses.values()) {
      if (use.vertex === vertex) use.paths.add(usedPath(path));
    }
  }

  finish(): readonly UsedContext[] {
    return [...this.#uses.values()].map(({ vertex, paths }) => {
      const used = paths.has("") ? [] : [...paths].sort();
      (vertex.used as string[]).push(...used);
      Object.freeze(vertex.used);
      return { context: vertex.context, paths: used };
    });
  }
}

/** Relative and clean; a "**" may mean anything below what stands before it. */
function usedPath(path: string): string {
  const parts = posix.join("/", path).split("/").filter(Boolean);
  const anything = parts.findIndex((part) => part.includes("**"));
  return (anything < 0 ? parts : parts.slice(0, anything)).join("/");
}
