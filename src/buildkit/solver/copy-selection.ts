/** What a COPY, an ADD or a bind mount takes from its source. */

import { FILE_PART, filePart, type KeyParts } from "../explain/differences.ts";
import { contentKey, entryKey } from "../files/content-key.ts";
import type { FileEntry, FileTree } from "../files/entry.ts";
import { type Selection, selectSources } from "../files/select.ts";
import type { CopyVertex } from "../graph/vertex.ts";

export interface CopySource {
  readonly tree: FileTree;
  readonly selection: Selection;
  /** Hash of what is selected. */
  readonly content: string;
}

export const instructionOf = ({ unpack, from }: CopyVertex): "COPY" | "ADD" =>
  unpack === "never" && from.kind !== "http" && from.kind !== "git" ? "COPY" : "ADD";

/** Files of clients and of other places, whose owners mean nothing here. */
export const isForeign = ({ from }: Pick<CopyVertex, "from">): boolean =>
  from.kind === "context" || from.kind === "http" || from.kind === "git";

/** Throws not-found for a missing source. */
export function selectFor(vertex: CopyVertex, tree: FileTree): CopySource {
  const { sources, excludes, parents, dialect, from } = vertex;
  const selection = selectSources(tree, {
    ...{ sources, excludes, parents, dialect },
    instruction: instructionOf(vertex),
    isContext: from.kind === "context",
    ignored: tree.ignored,
    literal: from.kind === "http",
  });
  return { tree, selection, content: contentKey(selection) };
}

/** Hash of what a mount shows: a path of the tree, links followed. */
export function mountContent(tree: FileTree, path: string): string {
  const selection = selectSources(tree, {
    sources: [path || "/"],
    excludes: [],
    parents: false,
    dialect: "buildkit",
    instruction: "COPY",
    isContext: false,
    literal: true,
  });
  return contentKey(selection);
}

export function bytesOf({ sources }: Selection): number {
  let bytes = 0;
  for (const { entry, contents } of sources) for (const { size } of [entry, ...contents]) bytes += size;
  return bytes;
}

/** More are told as one. */
const MAX_FILES = 20_000;

/** By file what a difference would be found by. */
export function fileParts({ sources }: Selection): KeyParts {
  const files = sources.flatMap(({ entry, contents }) => (entry.kind === "directory" ? contents : [entry]));
  if (files.length > MAX_FILES) return {};
  return Object.fromEntries(files.map((file) => [`${FILE_PART}${file.path}`, partOf(file)]));
}

function partOf(file: FileEntry): string {
  const { mode, uid, gid, kind, sha256, xattrs } = file;
  const isPlain = kind === "file" && xattrs.length === 0;
  return filePart(mode, `${uid}:${gid}`, isPlain ? sha256 : entryKey({ ...file, mode: 0, uid: 0, gid: 0 }));
}
