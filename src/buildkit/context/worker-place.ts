/** Puts entries into a layer's own directory, in the worker. Paths are resolved: no component of theirs is a link. */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  constants,
  copyFileSync,
  lchownSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { HullError } from "../../platform/errors.ts";
import type { FileEntry } from "../files/entry.ts";
import { objectName } from "../files/object-name.ts";
import { encodePath } from "../files/path-text.ts";
import { at } from "./worker-tree.ts";

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

export interface PlaceWork {
  readonly upper: string;
  readonly lower: string;
  readonly source: { readonly kind: "store" | "directory"; readonly path: string };
  readonly parentOwner: Owner;
}

/** `original`: the entry as the source tree has it. */
export interface Placing {
  readonly entry: FileEntry;
  readonly original: FileEntry;
}

export class Placer {
  /** Directories of this layer that are there. */
  readonly #made = new Set<string>([""]);
  /** Objects that have a name in this layer. */
  readonly #linked = new Set<string>();
  /** Set last: what is put into a directory changes its time. */
  readonly #times: (readonly [path: Buffer, mtimeNs: bigint])[] = [];

  constructor(private readonly work: PlaceWork) {}

  place({ entry, original }: Placing): void {
    this.#parents(entry.path);
    if (entry.kind === "directory") this.#directory(entry);
    else this.#other({ entry, original });
  }

  #other({ entry, original }: Placing): void {
    if (this.#isDirectory(entry.path))
      throw new HullError("invalid-argument", `cannot copy to non-directory: /${entry.path} is a directory`);
    const path = at(this.work.upper, entry.path);
    rmSync(path as unknown as string, { force: true });
    if (entry.hardLinkTo !== "") linkSync(at(this.work.upper, entry.hardLinkTo), path);
    else if (entry.kind !== "file") this.#special(path, entry);
    else if (entry.size === 0) this.#empty(path, entry);
    else if (!this.#link(path, { entry, original })) this.#copy(path, { entry, original });
  }

  finish(): void {
    for (const [path, mtimeNs] of this.#times.reverse()) setTime(path, mtimeNs);
  }

  /** False: this layer has a name of the object already, or wants other attributes. */
  #link(path: Buffer, { entry, original }: Placing): boolean {
    const { source } = this.work;
    if (original.size === 0) return false;
    const name = objectName(original);
    if (source.kind !== "store" || name !== objectName(entry) || this.#linked.has(name)) return false;
    this.#linked.add(name);
    linkSync(join(source.path, name.slice(0, 2), name), path);
    return true;
  }

  /** Clients are not asked for nothing: the store may have no object of it. */
  #empty(path: Buffer, entry: FileEntry): void {
    writeFileSync(path, "", { flag: "wx" });
    setAttributes(path, entry);
  }

  #copy(path: Buffer, { entry, original }: Placing): void {
    const { source } = this.work;
    // Those of clients do not travel: there is no object.
    if (original.size === 0) {
      writeFileSync(path, "", { flag: "wx" });
      setAttributes(path, entry);
      return;
    }
    const name = objectName(original);
    const inStore = Buffer.from(join(source.path, name.slice(0, 2), name));
    copyFileSync(source.kind === "store" ? inStore : at(source.path, original.path), path, constants.COPYFILE_FICLONE);
    setAttributes(path, entry);
  }

  #special(path: Buffer, entry: FileEntry): void {
    if (entry.kind === "socket") throw new HullError("invalid-argument", `/${entry.path}: a socket cannot be copied`);
    if (entry.kind === "symlink") symlinkSync(encodePath(entry.linkTarget), path);
    else {
      const letter = { fifo: "p", character: "c", block: "b" }[entry.kind as "fifo" | "character" | "block"];
      const numbers = entry.kind === "fifo" ? [] : [String(entry.deviceMajor), String(entry.deviceMinor)];
      execFileSync("mknod", [path.toString(), letter, ...numbers]);
    }
    setAttributes(path, entry);
  }

  #directory(entry: FileEntry): void {
    const path = at(this.work.upper, entry.path);
    const lower = this.#lower(entry.path);
    if (lower && !lower.isDirectory())
      throw new HullError("invalid-argument", `cannot copy to non-directory: /${entry.path}`);
    if (!this.#made.has(entry.path)) mkdirSync(path, { recursive: true, mode: 0o755 });
    this.#made.add(entry.path);
    lchownSync(path, entry.uid, entry.gid);
    chmodSync(path, entry.mode);
    this.#times.push([path, entry.mtimeNs]);
  }

  /** Those of the base come with their attributes, others are made. */
  #parents(path: string): void {
    for (let end = path.indexOf("/"); end >= 0; end = path.indexOf("/", end + 1)) {
      const parent = path.slice(0, end);
      if (this.#made.has(parent)) continue;
      this.#made.add(parent);
      const lower = this.#lower(parent);
      if (lower && !lower.isDirectory()) throw new HullError("invalid-argument", `/${parent}: not a directory`);
      const own = at(this.work.upper, parent);
      if (lstatSync(own, { throwIfNoEntry: false })) continue;
      mkdirSync(own, { mode: 0o755 });
      const { uid, gid } = lower ?? this.work.parentOwner;
      lchownSync(own, uid, gid);
      chmodSync(own, lower ? lower.mode & 0o7777 : 0o755);
      if (lower) this.#times.push([own, BigInt(Math.round(lower.mtimeMs * 1000)) * 1000n]);
    }
  }

  #lower(path: string) {
    const { lower } = this.work;
    return lower === "" ? undefined : lstatSync(at(lower, path), { throwIfNoEntry: false });
  }

  #isDirectory(path: string): boolean {
    const own = lstatSync(at(this.work.upper, path), { throwIfNoEntry: false });
    return (own ?? this.#lower(path))?.isDirectory() ?? false;
  }
}

function setAttributes(path: Buffer, entry: FileEntry): void {
  lchownSync(path, entry.uid, entry.gid);
  if (entry.kind !== "symlink") chmodSync(path, entry.mode);
  setTime(path, entry.mtimeNs);
}

const setTime = (path: Buffer, mtimeNs: bigint): void => {
  const seconds = Number(mtimeNs) / 1e9;
  lutimesSync(path, seconds, seconds);
};
