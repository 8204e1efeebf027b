/** Trees of the disk as entries, in the worker: synchronous, links are never followed but where they are resolved within a root. */
import { createHash } from "node:crypto";
import { closeSync, lstatSync, openSync, readdirSync, readFileSync, readlinkSync, readSync, writeSync } from "node:fs";
import { HullError } from "../../platform/errors.ts";
import type { FileEntry, FileKind } from "../files/entry.ts";
import { comparePaths, decodePath, encodePath } from "../files/path-text.ts";
import { encodeIndexInBlocks } from "../files/tree-index.ts";

/** One for all files: a worker does one thing at a time. */
const buffer = Buffer.allocUnsafe(256 * 1024);
const MOST_LINKS = 255;
const S_IFMT = 0o170000n;

const kinds: Readonly<Record<string, FileKind>> = {
  [String(0o100000)]: "file",
  [String(0o040000)]: "directory",
  [String(0o120000)]: "symlink",
  [String(0o010000)]: "fifo",
  [String(0o020000)]: "character",
  [String(0o060000)]: "block",
  [String(0o140000)]: "socket",
};

/** A path below a root, as the kernel has it. */
export const at = (root: string, path: string): Buffer =>
  path === "" ? Buffer.from(root) : Buffer.concat([Buffer.from(`${root}/`), encodePath(path)]);

export function hashFile(path: Buffer): string {
  const hash = createHash("sha256");
  const fd = openSync(path, "r");
  try {
    for (let read = readSync(fd, buffer); read > 0; read = readSync(fd, buffer)) hash.update(buffer.subarray(0, read));
  } finally {
    closeSync(fd);
  }
  return hash.digest("hex");
}

/** In the order of indexes, the root's own entry left out. Hard links are told by the first of their names. */
export function walk(root: string, below: string): FileEntry[] {
  const paths: string[] = [];
  const pending = [below];
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    // Without their types: the runtime knows none for names that are bytes.
    for (const name of readdirSync(at(root, directory), { encoding: "buffer" })) {
      const path = directory === "" ? decodePath(name) : `${directory}/${decodePath(name)}`;
      paths.push(path);
      if (lstatSync(at(root, path)).isDirectory()) pending.push(path);
    }
  }
  const first = new Map<string, FileEntry>();
  return paths.sort(comparePaths).map((path) => entryAt(root, path, first));
}

function entryAt(root: string, path: string, first: Map<string, FileEntry>): FileEntry {
  const full = at(root, path);
  const stat = lstatSync(full, { bigint: true });
  const kind = kinds[String(stat.mode & S_IFMT)] ?? "file";
  const inode = `${stat.dev} ${stat.ino}`;
  const known = kind !== "directory" && stat.nlink > 1n ? first.get(inode) : undefined;
  if (known) return { ...known, path, hardLinkTo: known.path };
  const isDevice = kind === "character" || kind === "block";
  const entry: FileEntry = {
    path,
    kind,
    mode: Number(stat.mode & 0o7777n),
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    size: kind === "file" ? Number(stat.size) : 0,
    mtimeNs: stat.mtimeNs,
    sha256: kind === "file" ? hashFile(full) : "",
    linkTarget: kind === "symlink" ? decodePath(readlinkSync(full, "buffer")) : "",
    hardLinkTo: "",
    deviceMajor: isDevice ? Number((stat.rdev >> 8n) & 0xfffn) : 0,
    deviceMinor: isDevice ? Number((stat.rdev & 0xffn) | ((stat.rdev >> 12n) & 0xfff00n)) : 0,
    xattrs: [],
  };
  if (kind !== "directory" && stat.nlink > 1n) first.set(inode, entry);
  return entry;
}

export function writeIndex(path: string, entries: readonly FileEntry[]): void {
  const fd = openSync(path, "wx", 0o600);
  try {
    for (const block of encodeIndexInBlocks(entries))
      for (let done = 0; done < block.length; ) done += writeSync(fd, block, done);
  } finally {
    closeSync(fd);
  }
}

export interface Resolved {
  readonly path: string;
  readonly kind: FileKind | "missing";
}

/** Links mean the root; what is missing is taken as it is. */
export function resolveIn(root: string, path: string): Resolved {
  let left = path.split("/");
  let done: string[] = [];
  let kind: Resolved["kind"] = "directory";
  for (let links = 0; left.length > 0; ) {
    const [part, ...rest] = left as [string, ...string[]];
    left = rest;
    if (part === "" || part === ".") continue;
    if (part === "..") {
      done.pop();
      kind = "directory";
      continue;
    }
    const next = [...done, part].join("/");
    const stat = lstatSync(at(root, next), { throwIfNoEntry: false });
    if (stat?.isSymbolicLink()) {
      if (++links > MOST_LINKS) throw new HullError("invalid-argument", `${path}: too many levels of symbolic links`);
      const target = decodePath(readlinkSync(at(root, next), "buffer"));
      if (target.startsWith("/")) done = [];
      left = [...target.split("/"), ...left];
      continue;
    }
    done.push(part);
    kind = stat ? (kinds[String(BigInt(stat.mode) & S_IFMT)] ?? "file") : "missing";
  }
  return { path: done.join("/"), kind: done.length === 0 ? "directory" : kind };
}

/** Undefined when it is missing or no regular file. */
export function readIn(root: string, path: string, maxBytes: number): Buffer | undefined {
  const found = resolveIn(root, path);
  if (found.kind !== "file") return undefined;
  const full = at(root, found.path);
  if (lstatSync(full).size > maxBytes)
    throw new HullError("invalid-argument", `${path} has more than ${maxBytes} bytes`);
  return readFileSync(full);
}
