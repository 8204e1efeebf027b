/**
 * The hashes in the classic builder's history ("COPY dir:0123... in /x "): of each file the tar header as Docker's tarsum v1 takes it (no
 * time) and the bytes, of a directory those of everything in it.
 */
import { createHash } from "node:crypto";
import { HullError } from "../../platform/errors.ts";
import type { FileEntry, FileTree } from "../files/entry.ts";
import { encodePath } from "../files/path-text.ts";
import { TreeView } from "../files/tree-view.ts";

/** Hexadecimal sha256 of a header followed by the entry's bytes, if it has any (`size` says so). */
export type HashAfter = (header: Buffer, entry: FileEntry) => Promise<string>;

/** What COPY selected: links are followed already. */
export interface HashedSource {
  readonly entry: FileEntry;
  readonly contents: readonly FileEntry[];
}

export interface HashedTree {
  readonly tree: FileTree;
  /** A context's hashes are made of the client's tar, those of an image of its file system: the kind is in the mode, root has a name. */
  readonly isContext: boolean;
  readonly hashAfter: HashAfter;
}

/** "file:...", "dir:..." or "multi:..." of all that a COPY selects, in its order. */
export async function copyHash(sources: readonly HashedSource[], from: HashedTree): Promise<string> {
  const hashes: string[] = [];
  for (const source of sources) hashes.push(await sourceHash(source, from));
  return hashes.length === 1 ? hashes[0]! : listHash("multi", hashes);
}

async function sourceHash({ entry, contents }: HashedSource, from: HashedTree): Promise<string> {
  if (entry.kind !== "directory") return `file:${await entryHash(entry, from)}`;
  const all = entry.path === "" ? contents : [entry, ...contents];
  const hashes: string[] = [];
  for (const each of all) if (!isCircular(each, from)) hashes.push(await entryHash(each, from));
  return listHash("dir", hashes.sort());
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

/** Of what the path leads to. A link that leads nowhere has a path for a hash: its own in a context, where it leads in an image. */
function entryHash({ path }: FileEntry, { tree, isContext, hashAfter }: HashedTree): string | Promise<string> {
  const { path: end, entry } = TreeView.of(tree).follow(path);
  if (entry === undefined) return isContext ? path : end;
  if (!isContext) return hashAfter(fileSystemHeader(entry), entry);
  // A hard link has no bytes of its own in a tar.
  return hashAfter(tarHeader(entry), entry.hardLinkTo === "" ? entry : { ...entry, size: 0 });
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
