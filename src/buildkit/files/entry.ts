/**
 * One entry of a file tree (a build context, an image's or a stage's root file system) as the builder sees it: what a COPY selects from and
 * what a content key is made of. Trees are lists of entries in the order of `comparePaths`, parents before what is in them.
 */
export { comparePaths } from "./path-text.ts";

export type FileKind = "file" | "directory" | "symlink" | "fifo" | "character" | "block" | "socket";

export interface FileEntry {
  /** Relative to the tree's root, components separated by "/", without "." and ".."; "" is the root itself. Text of bytes as in path-text.ts. */
  readonly path: string;
  readonly kind: FileKind;
  /** Permission bits with set-user-id, set-group-id and sticky: 0 to 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes of a file; 0 for everything else. */
  readonly size: number;
  /** Nanoseconds since the epoch. Never part of a key. */
  readonly mtimeNs: bigint;
  /** Hexadecimal sha256 of a file's bytes; "" for everything else. */
  readonly sha256: string;
  /** Where a symbolic link leads, as written; "" for everything else. */
  readonly linkTarget: string;
  /** A hard link: the path of the tree's first entry of the same file, which stands before it; "" otherwise. Its other fields repeat that entry's. */
  readonly hardLinkTo: string;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
  /** Sorted by name; values are latin1 text of the bytes. */
  readonly xattrs: readonly (readonly [name: string, value: string])[];
}

/** Of a context's directory that the client's archive does not name (docs/protocols.md, "File indexes"). */
export const isImplied = ({ kind, mtimeNs }: FileEntry): boolean => kind === "directory" && mtimeNs === 1n;

/** Where the bytes of a tree's files are. */
export type TreeSource =
  /** In the content-addressed store of contexts: a file's object is named by `objectName`. */
  | { readonly kind: "store"; readonly directory: string }
  /** Committed snapshots (overlay layers), top first: the directories of a merged, read-only view. */
  | { readonly kind: "layers"; readonly directories: readonly string[] };

export interface FileTree {
  readonly entries: readonly FileEntry[];
  readonly source: TreeSource;
  /** Patterns that left files out of it: for the reason why something is missing. */
  readonly ignored?: readonly string[];
}
