/** A mount's source as a file system: files of a context, a download or a checkout are laid out in a layer on nothing. */
import type { CopyVertex, Vertex } from "../graph/vertex.ts";

/** The vertex itself when it has layers already. */
export function laidOut(from: Vertex, source: string): Vertex {
  if (from.kind !== "context" && from.kind !== "http" && from.kind !== "git") return from;
  const path = source.startsWith("/") ? source : `/${source}`;
  const base = { location: from.location, ignoreCache: false, platform: from.platform };
  const copy: CopyVertex = {
    ...base,
    kind: "copy",
    name: `[internal] files of ${from.name} for mounts`,
    base: { ...base, kind: "scratch", name: "[internal] nothing" },
    from,
    sources: [path],
    destination: path,
    owner: undefined,
    chmod: undefined,
    excludes: [],
    parents: false,
    unpack: "never",
    dialect: "buildkit",
  };
  return copy;
}
