/** The Dockerfile of a context that came as a tar, by dockerd's rules. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { HullError } from "../../platform/errors.ts";
import type { FileEntry, FileTree } from "../files/entry.ts";
import { IgnorePatterns, parseIgnoreFile } from "../files/ignore.ts";
import { objectName } from "../files/object-name.ts";

export interface FoundDockerfile {
  readonly name: string;
  readonly data: Buffer;
  /** Without the Dockerfile and the ignore file where that says so: the client had to send them. */
  readonly tree: FileTree;
}

const DEFAULT_NAME = "Dockerfile";
const IGNORE_FILE = ".dockerignore";
const MAX_BYTES = 16 * 1024 * 1024;
const MOST_LINKS = 40;

/** `name` is "" for the default. Throws in Docker's words. */
export async function findDockerfile(tree: FileTree, name: string): Promise<FoundDockerfile> {
  const wanted = name === "" ? DEFAULT_NAME : inside(name);
  const entry =
    entryAt(tree, wanted) ?? (wanted === DEFAULT_NAME ? entryAt(tree, DEFAULT_NAME.toLowerCase()) : undefined);
  if (entry?.kind !== "file") throw missing(name || DEFAULT_NAME);
  const found = wanted === DEFAULT_NAME && !entryAt(tree, wanted) ? DEFAULT_NAME.toLowerCase() : wanted;
  const data = await read(tree, entry);
  return { name: found, data, tree: await withoutIgnored(tree, found) };
}

// A plain error of dockerd's, which answers 500 to those.
const missing = (name: string): HullError =>
  new HullError("not-found", `Cannot locate specified Dockerfile: ${name}`, { facts: { httpStatus: 500 } });

/** A file of a context in the store, links in its path followed within the context; undefined when there is none. */
export async function readFileIn(tree: FileTree, path: string): Promise<Buffer | undefined> {
  const entry = entryAt(tree, path);
  return entry?.kind === "file" ? read(tree, entry) : undefined;
}

/** Relative to the context's root, without "." and "..". */
function inside(name: string): string {
  const parts: string[] = [];
  for (const part of name.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") parts.push(part);
    else if (parts.pop() === undefined)
      throw new HullError("invalid-argument", `Forbidden path outside the build context: ${name} (${name})`);
  }
  return parts.join("/");
}

/** Links are followed within the context. */
function entryAt(tree: FileTree, path: string): FileEntry | undefined {
  let left = path.split("/");
  let at: string[] = [];
  for (let links = 0; left.length > 0; ) {
    const [part, ...rest] = left as [string, ...string[]];
    if (part === "..") at.pop();
    else if (part !== "" && part !== ".") at.push(part);
    const entry = tree.entries.find((candidate) => candidate.path === at.join("/"));
    if (at.length > 0 && !entry) return undefined;
    if (entry?.kind === "symlink" && part !== "..") {
      if (++links > MOST_LINKS) return undefined;
      at = entry.linkTarget.startsWith("/") ? [] : at.slice(0, -1);
      left = [...entry.linkTarget.split("/"), ...rest];
    } else left = rest;
  }
  return tree.entries.find((candidate) => candidate.path === at.join("/"));
}

async function read(tree: FileTree, entry: FileEntry): Promise<Buffer> {
  if (tree.source.kind !== "store") throw new HullError("internal", "a client's context is not in the store");
  if (entry.size > MAX_BYTES)
    throw new HullError("invalid-argument", `${entry.path} has ${entry.size} bytes: a Dockerfile has at most 16 MiB`);
  const name = objectName(entry);
  return readFile(join(tree.source.directory, name.slice(0, 2), name));
}

async function withoutIgnored(tree: FileTree, dockerfile: string): Promise<FileTree> {
  const list = tree.entries.find(({ path, kind }) => path === IGNORE_FILE && kind === "file");
  if (!list) return tree;
  const ignored = parseIgnoreFile(await read(tree, list));
  const matcher = new IgnorePatterns(ignored);
  const removed = [IGNORE_FILE, dockerfile].filter((path) => matcher.matches(path));
  const { entries } = tree;
  return {
    ...tree,
    ignored,
    entries: removed.length === 0 ? entries : entries.filter(({ path }) => !removed.includes(path)),
  };
}
