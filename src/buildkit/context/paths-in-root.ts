/** Paths below a root whose links mean that root: where they lead, and small files at them. The tree does not change meanwhile. */
import { lstat, readFile, readlink } from "node:fs/promises";
import { HullError } from "../../platform/errors.ts";
import type { FileKind } from "../files/entry.ts";
import { decodePath, encodePath } from "../files/path-text.ts";
import type { ResolvedPath } from "../solver/ports.ts";

const MOST_LINKS = 255;
const S_IFMT = 0o170000;

const kinds: ReadonlyMap<number, FileKind> = new Map([
  [0o100000, "file"],
  [0o040000, "directory"],
  [0o120000, "symlink"],
  [0o010000, "fifo"],
  [0o020000, "character"],
  [0o060000, "block"],
  [0o140000, "socket"],
]);

/** A path below a root, as the kernel has it. */
const at = (root: string, path: string): Buffer =>
  path === "" ? Buffer.from(root) : Buffer.concat([Buffer.from(`${root}/`), encodePath(path)]);

async function statOf(path: Buffer) {
  try {
    return await lstat(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw error;
  }
}

/** What is missing is taken as it is. */
export async function resolveIn(root: string, path: string): Promise<ResolvedPath> {
  let left = path.split("/");
  let done: string[] = [];
  let kind: ResolvedPath["kind"] = "directory";
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
    const stat = await statOf(at(root, next));
    if (stat?.isSymbolicLink()) {
      if (++links > MOST_LINKS) throw new HullError("invalid-argument", `${path}: too many levels of symbolic links`);
      const target = decodePath(await readlink(at(root, next), "buffer"));
      if (target.startsWith("/")) done = [];
      left = [...target.split("/"), ...left];
      continue;
    }
    done.push(part);
    kind = stat ? (kinds.get(stat.mode & S_IFMT) ?? "file") : "missing";
  }
  return { path: done.join("/"), kind: done.length === 0 ? "directory" : kind };
}

/** Undefined when it is missing or no regular file. Throws invalid-argument for a larger one. */
export async function readIn(root: string, path: string, maxBytes: number): Promise<Buffer | undefined> {
  const full = await fileIn(root, path);
  if (!full) return undefined;
  if ((await lstat(full)).size > maxBytes)
    throw new HullError("invalid-argument", `${path} has more than ${maxBytes} bytes`);
  return readFile(full);
}

/** As `readIn`; undefined for a larger one too. */
export async function findIn(root: string, path: string, maxBytes: number): Promise<Buffer | undefined> {
  const full = await fileIn(root, path);
  return full && (await lstat(full)).size <= maxBytes ? readFile(full) : undefined;
}

async function fileIn(root: string, path: string): Promise<Buffer | undefined> {
  const found = await resolveIn(root, path);
  return found.kind === "file" ? at(root, found.path) : undefined;
}
