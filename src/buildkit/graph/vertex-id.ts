/** The name of a vertex: a hash of its definition with its inputs' names. */
import { createHash } from "node:crypto";
import type { RunMount, Vertex } from "./vertex.ts";

const known = new WeakMap<Vertex, string>();

/**
 * "sha256:...": what progress and the sharing between builds call a vertex. How it is called and where it is written count for nothing,
 * so the same work in two stages is one. It says nothing about contents: a client's directory has the same id in every build.
 */
export function vertexId(vertex: Vertex): string {
  // Not recursive: a Dockerfile may have thousands of steps in a row.
  const pending = [vertex];
  for (let top = pending.at(-1); top !== undefined; top = pending.at(-1)) {
    const missing = known.has(top) ? [] : inputsOf(top).filter((input) => !known.has(input));
    if (missing.length > 0) {
      pending.push(...missing);
      continue;
    }
    pending.pop();
    if (!known.has(top)) known.set(top, digestOf(top));
  }
  return known.get(vertex)!;
}

/** The vertices whose results this one needs, in the order of its definition, each once. */
export function inputsOf(vertex: Vertex): readonly Vertex[] {
  switch (vertex.kind) {
    case "scratch":
    case "image":
    case "context":
    case "http":
    case "git":
      return [];
    case "copy":
      return unique([vertex.base, vertex.from]);
    case "write":
    case "directory":
      return [vertex.base];
    case "merge":
      return unique([vertex.base, vertex.layer]);
    case "run":
      return unique([vertex.base, ...vertex.mounts.flatMap(sourcesOf)]);
  }
}

function sourcesOf(mount: RunMount): readonly Vertex[] {
  if (mount.kind !== "bind" && mount.kind !== "cache") return [];
  return mount.from === undefined ? [] : [mount.from];
}

const unique = (vertices: readonly Vertex[]): readonly Vertex[] => [...new Set(vertices)];

function digestOf(vertex: Vertex): string {
  const { name: _name, location: _location, ...definition } = vertex;
  const inputs = new Set<unknown>(inputsOf(vertex));
  const text = JSON.stringify(definition, (_key, value: unknown) => {
    if (inputs.has(value)) return known.get(value as Vertex);
    return isPlain(value) ? inOrder(value) : value;
  });
  return `sha256:${createHash("sha256").update(text).digest("hex")}`;
}

const isPlain = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The order of members says nothing. */
const inOrder = (value: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
