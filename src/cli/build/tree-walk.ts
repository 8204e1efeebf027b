/** Walks a directory of the client in fsutil's order, with the patterns of the daemon applied; what is in a directory is read once per build. */
import { lstatSync, readdirSync, readlinkSync } from "node:fs";
import { comparePaths } from "../../buildkit/files/path-text.ts";
import type { FilterState, TreeFilter } from "../../buildkit/files/tree-filter.ts";
import { HullError } from "../../platform/errors.ts";

export interface ListedFile {
  readonly path: string;
  readonly name: string;
  /** Go's os.FileMode. */
  readonly goMode: number;
  readonly isDirectory: boolean;
  readonly isFile: boolean;
  readonly size: number;
  readonly mtimeNs: bigint;
  /** Where a symbolic link leads; of a second name of a file its first name. */
  readonly link: string;
  /** "device:inode" of a file with several names. */
  readonly inode: string;
}

/** What is in directories of a root, remembered while a command runs. */
export class Listings {
  readonly #read = new Map<string, readonly ListedFile[]>();

  constructor(readonly root: string) {}

  /** In the order of names. `path`: relative to the root, "" for itself. A directory that has gone meanwhile is empty. */
  list(path: string): readonly ListedFile[] {
    const known = this.#read.get(path);
    if (known) return known;
    const directory = path === "" ? this.root : `${this.root}/${path}`;
    const files = namesIn(directory)
      .map((name) => fileAt(directory, path, name))
      .filter((file) => file !== undefined);
    this.#read.set(path, files);
    return files;
  }

  /** Undefined: nothing is there. */
  find(path: string): ListedFile | undefined {
    const cut = path.lastIndexOf("/");
    const name = path.slice(cut + 1);
    return this.list(cut < 0 ? "" : path.slice(0, cut)).find((file) => file.name === name);
  }

  knows(path: string): boolean {
    return this.#read.has(path);
  }
}

function namesIn(directory: string): string[] {
  const names = unlessGone(() => readdirSync(directory)) ?? [];
  names.sort();
  // UTF-16 sorts as bytes do below the surrogates only.
  if (names.some((name) => /[\ud800-\uffff]/.test(name))) names.sort(comparePaths);
  return names;
}

const KIND = 0o170000;
const goKindOf: ReadonlyMap<number, number> = new Map([
  [0o100000, 0],
  [0o040000, 2 ** 31],
  [0o120000, 2 ** 27],
  [0o060000, 2 ** 26],
  [0o020000, 2 ** 26 + 2 ** 21],
  [0o010000, 2 ** 25],
  [0o140000, 2 ** 24],
]);
const SOCKET = 0o140000;

function goModeOf(mode: number): number {
  const special = (mode & 0o4000 ? 2 ** 23 : 0) + (mode & 0o2000 ? 2 ** 22 : 0) + (mode & 0o1000 ? 2 ** 20 : 0);
  return goKindOf.get(mode & KIND)! + special + (mode & 0o777);
}

/** Undefined for a socket, which cannot be sent, and what has gone since its directory was read. */
function fileAt(directory: string, below: string, name: string): ListedFile | undefined {
  const path = below === "" ? name : `${below}/${name}`;
  if (name.includes("\ufffd"))
    throw new HullError(
      "invalid-argument",
      `${JSON.stringify(path)} in the build context is no valid UTF-8: rename it, or leave it out with .dockerignore`,
    );
  const full = `${directory}/${name}`;
  const found = unlessGone(() => lstatSync(full, { bigint: true }));
  if (!found) return undefined;
  const mode = Number(found.mode);
  const kind = mode & KIND;
  if (kind === SOCKET) return undefined;
  const isFile = kind === 0o100000;
  const link = kind === 0o120000 ? unlessGone(() => readlinkSync(full)) : "";
  if (link === undefined) return undefined;
  return {
    path,
    name,
    goMode: goModeOf(mode),
    isDirectory: kind === 0o040000,
    isFile,
    size: isFile ? Number(found.size) : 0,
    mtimeNs: found.mtimeNs,
    link,
    inode: isFile && found.nlink > 1n ? `${found.dev}:${found.ino}` : "",
  };
}

function unlessGone<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw error;
  }
}

/** What the filter takes, parents first; a directory that is not taken itself comes before the first thing in it that is. */
export function* walk(listings: Listings, filter: TreeFilter | undefined): Generator<ListedFile> {
  const firstNames = new Map<string, string>();
  for (const file of walkBelow(listings, { path: "", state: undefined, filter })) {
    const first = file.inode === "" ? undefined : firstNames.get(file.inode);
    if (file.inode !== "" && first === undefined) firstNames.set(file.inode, file.path);
    yield first === undefined ? file : { ...file, size: 0, link: first };
  }
}

interface Position {
  readonly path: string;
  readonly state: FilterState | undefined;
  readonly filter: TreeFilter | undefined;
}

function* walkBelow(listings: Listings, { path, state, filter }: Position): Generator<ListedFile> {
  for (const file of listings.list(path)) {
    const own = filter?.step(file.path, state);
    const isWanted = own?.wanted ?? true;
    if (isWanted) yield file;
    if (!file.isDirectory || (filter && !filter.descends(file.path, own!))) continue;
    let isTold = isWanted;
    for (const inner of walkBelow(listings, { path: file.path, state: own, filter })) {
      if (!isTold) yield file;
      isTold = true;
      yield inner;
    }
  }
}
