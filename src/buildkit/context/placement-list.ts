/** Placements as `keel place` reads them (docs/protocols.md). */
import type { FileEntry, FileTree } from "../files/entry.ts";
import { encodePath } from "../files/path-text.ts";
import { letterOfKind } from "../files/tree-index.ts";
import type { Placement } from "../solver/ports.ts";

export function encodePlacements(source: FileTree, placements: readonly Placement[]): Buffer {
  const isStored = source.source.kind === "store";
  const originals = new Map(isStored ? source.entries.map((entry) => [entry.path, entry]) : []);
  const fields = placements.flatMap(({ path, entry, sourcePath }) => {
    // Of an empty file there may be none.
    const object = isStored && entry.kind === "file" && entry.size > 0 ? originals.get(sourcePath) : undefined;
    return [path, ...attributesOf(entry), sourcePath, object ? objectOf(object) : "", ...xattrsOf(entry)];
  });
  return encodePath(fields.map((field) => `${field}\0`).join(""));
}

function attributesOf({ kind, mode, uid, gid, mtimeNs, deviceMajor, deviceMinor, xattrs, ...entry }: FileEntry) {
  const letter = entry.hardLinkTo === "" ? letterOfKind[kind] : "h";
  const attributes = `${letter} ${mode.toString(8)} ${uid} ${gid} ${mtimeNs} ${deviceMajor} ${deviceMinor} ${xattrs.length}`;
  return [attributes, entry.linkTarget || entry.hardLinkTo];
}

const objectOf = ({ sha256, mode, uid, gid, mtimeNs }: FileEntry): string =>
  `${sha256} ${mode.toString(8)} ${uid} ${gid} ${mtimeNs}`;

const xattrsOf = ({ xattrs }: FileEntry): string[] =>
  xattrs.flatMap(([name, value]) => [name, Buffer.from(value, "latin1").toString("hex")]);
