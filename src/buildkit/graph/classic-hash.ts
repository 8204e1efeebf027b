/**
 * The hashes in the classic builder's history ("COPY dir:0123... in /x "): of each file the tar header as Docker's tarsum v1 takes it (no
 * time) and the bytes, of a directory those of everything in it.
 */
import { createHash } from "node:crypto";
import { HullError } from "../../platform/errors.ts";
import { type FileEntry, type FileTree, isImplied } from "../files/entry.ts";
import { encodePath } from "../files/path-text.ts";
import { TreeView } from "../files/tree-view.ts";

/** Hashed is the header, then the bytes of the file `path` of the tree; "" for none. */
export interface HeaderAndFile {
  readonly header: Buffer;
  readonly path: string;
  /** Of those bytes, as the tree has it. */
  readonly sha256: string;
}

/** What COPY selected: links are followed already. */
export interface HashedSource {
  readonly entry: FileEntry;
  readonly contents: readonly FileEntry[];
}

export interface HashedTree {
  readonly tree: FileTree;
  /** A context's hashes are made of the client's tar, those of an image of its file system: the kind is in the mode, root has a name. */
  readonly isContext: boolean;
}

/** A hash that is to be made, or what stands for one. */
type Part = HeaderAndFile | string;

interface SourceParts {
  readonly isDirectory: boolean;
  readonly parts: readonly Part[];
}

export interface CopyHashPlan {
  /** To be hashed. */
  readonly files: readonly HeaderAndFile[];
  /** Their hexadecimal sha256, in their order, to "file:...", "dir:..." or "multi:..." of all that a COPY selects. */
  readonly put: (hashes: readonly string[]) => string;
}

export function planCopyHash(sources: readonly HashedSource[], from: HashedTree): CopyHashPlan {
  const all = sources.map((source) => partsOf(source, from));
  const files = all.flatMap(({ parts }) => parts.filter((part) => typeof part !== "string"));
  return { files, put: (hashes) => put(all, hashes.values()) };
}

function put(all: readonly SourceParts[], made: Iterator<string, undefined>): string {
  const hashOf = (part: Part): string => (typeof part === "string" ? part : made.next().value!);
  const hashes = all.map(({ isDirectory, parts }) =>
    isDirectory ? listHash("dir", parts.map(hashOf).sort()) : `file:${hashOf(parts[0]!)}`,
  );
  return hashes.length === 1 ? hashes[0]! : listHash("multi", hashes);
}

function partsOf({ entry, contents }: HashedSource, from: HashedTree): SourceParts {
  if (entry.kind !== "directory") return { isDirectory: false, parts: [partOf(entry, from)] };
  const all = entry.path === "" ? contents : [entry, ...contents];
  const parts = all.filter((each) => !isCircular(each, from)).map((each) => partOf(each, from));
  return { isDirectory: true, parts };
}

/** Links in a circle lead nowhere: they are copied and not hashed. */
function isCircular({ path, kind }: FileEntry, { tree }: HashedTree): boolean {
  if (kind !== "symlink") return false;
  try {
    TreeView.of(tree).follow(path);
    return false;
  } catch (error) {
    if (error instanceof HullError && error.code === "invalid-argument") return true;
    throw error;
  }
}

const listHash = (kind: "dir" | "multi", hashes: readonly string[]): string =>
  `${kind}:${createHash("sha256").update(hashes.join(",")).digest("hex")}`;

/**
 * Of what the path leads to. A link that leads nowhere has a path for a hash: its own in a context, where it leads in an image; a directory
 * that a context's tar has only by what is in it, too.
 */
function partOf({ path }: FileEntry, { tree, isContext }: HashedTree): Part {
  const { path: end, entry } = TreeView.of(tree).follow(path);
  if (entry === undefined) return isContext ? path : end;
  if (isContext && isImplied(entry)) return end;
  // A hard link has no bytes of its own in a tar.
  const hasBytes = entry.size > 0 && !(isContext && entry.hardLinkTo !== "");
  const header = isContext ? tarHeader(entry) : fileSystemHeader(entry);
  return { header, ...(hasBytes ? { path: entry.path, sha256: entry.sha256 } : { path: "", sha256: "" }) };
}

interface KindFields {
  readonly type: string;
  readonly modeBits: number;
}

const kinds: Readonly<Record<FileEntry["kind"], KindFields>> = {
  file: { type: "0", modeBits: 0o100000 },
  symlink: { type: "2", modeBits: 0o120000 },
  character: { type: "3", modeBits: 0o020000 },
  block: { type: "4", modeBits: 0o060000 },
  directory: { type: "5", modeBits: 0o040000 },
  fifo: { type: "6", modeBits: 0o010000 },
  socket: { type: "0", modeBits: 0o140000 },
};

/** As the client's tar has it. */
function tarHeader(entry: FileEntry): Buffer {
  const plain = { mode: entry.mode, user: "", group: "", size: entry.size, type: kinds[entry.kind].type };
  return entry.hardLinkTo === ""
    ? tarsumHeader(entry, { ...plain, link: entry.linkTarget })
    : tarsumHeader(entry, { ...plain, size: 0, type: "1", link: entry.hardLinkTo });
}

/** As dockerd makes it of a file in a layer. It knows names of this machine's users; of these only root is the same everywhere. */
function fileSystemHeader(entry: FileEntry): Buffer {
  const { type, modeBits } = kinds[entry.kind];
  const nameOf = (id: number): string => (id === 0 ? "root" : "");
  const names = { user: nameOf(entry.uid), group: nameOf(entry.gid) };
  const mode = modeBits | entry.mode;
  return tarsumHeader(entry, { ...names, mode, size: entry.size, type, link: entry.linkTarget });
}

interface HeaderFields {
  readonly mode: number;
  readonly user: string;
  readonly group: string;
  readonly size: number;
  readonly type: string;
  readonly link: string;
}

function tarsumHeader(entry: FileEntry, header: HeaderFields): Buffer {
  const fields = {
    name: entry.kind === "directory" ? `${entry.path}/` : entry.path,
    mode: header.mode,
    uid: entry.uid,
    gid: entry.gid,
    size: header.size,
    typeflag: header.type,
    linkname: header.link,
    uname: header.user,
    gname: header.group,
    devmajor: entry.deviceMajor,
    devminor: entry.deviceMinor,
  };
  const text = Object.entries(fields).map(([name, value]) => `${name}${value}`);
  const xattrs = entry.xattrs.flatMap(([name, value]) => [Buffer.from(name), Buffer.from(value, "latin1")]);
  return Buffer.concat([encodePath(text.join("")), ...xattrs]);
}
