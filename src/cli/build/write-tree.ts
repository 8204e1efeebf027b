/** Files of a build's result, written into a directory of the user's: what is there already stays unless it has a name of theirs. */
import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  futimesSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeSync,
} from "node:fs";
import type { FileEntry } from "../../buildkit/files/entry.ts";
import { type FileSink, hasBytes } from "../../buildkit/files/transfer/receive-tree.ts";
import { HullError } from "../../platform/errors.ts";

/**
 * Owners are the user's. Nothing is written through a symbolic link: one in the place of a directory is refused.
 * Lifecycle: as a sink of the transfer -> `finish` with everything that was listed.
 */
export class TreeWriter implements FileSink {
  /** Known to be directories. */
  readonly #made = new Set<string>([""]);
  #fd = -1;
  #entry: FileEntry | undefined;

  /** `root` is made when it is missing. */
  constructor(private readonly root: string) {
    mkdirSync(root, { recursive: true });
  }

  begin(entry: FileEntry): void {
    this.#parents(entry.path);
    this.#fd = this.#create(entry);
    this.#entry = entry;
  }

  write(data: Uint8Array): void {
    for (let done = 0; done < data.length; ) done += writeSync(this.#fd, data, done);
  }

  end(): void {
    this.#close(this.#fd, this.#entry!);
    this.#fd = -1;
  }

  finish(entries: readonly FileEntry[]): void {
    for (const entry of entries) this.#finishOne(entry);
    // What is put into a directory changes its time.
    for (const { path, kind, mode, mtimeNs } of [...entries].reverse()) {
      if (kind !== "directory") continue;
      chmodSync(this.#at(path), mode);
      utimesSync(this.#at(path), seconds(mtimeNs), seconds(mtimeNs));
    }
  }

  #finishOne(entry: FileEntry): void {
    if (hasBytes(entry)) return;
    this.#parents(entry.path);
    if (entry.kind === "directory") this.#directory(entry.path);
    else if (entry.kind === "file" && entry.hardLinkTo === "") this.#close(this.#create(entry), entry);
    else this.#link(entry);
  }

  /** Devices and FIFOs are for a root file system: they are left out. */
  #link({ kind, path, linkTarget, hardLinkTo }: FileEntry): void {
    if (kind !== "symlink" && kind !== "file") return;
    this.#remove(path);
    if (kind === "symlink") symlinkSync(linkTarget, this.#at(path));
    else linkSync(this.#at(hardLinkTo), this.#at(path));
  }

  #create({ path, mode }: FileEntry): number {
    this.#remove(path);
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    return openSync(this.#at(path), flags, mode & 0o777);
  }

  #close(fd: number, { mode, mtimeNs }: FileEntry): void {
    fchmodSync(fd, mode);
    futimesSync(fd, seconds(mtimeNs), seconds(mtimeNs));
    closeSync(fd);
  }

  #remove(path: string): void {
    const found = this.#statOf(path);
    if (found?.isDirectory())
      throw new HullError(
        "failed-precondition",
        `${this.#at(path)} is a directory, and a file of the result: remove it first`,
      );
    if (found) rmSync(this.#at(path));
  }

  #parents(path: string): void {
    for (let end = path.indexOf("/"); end >= 0; end = path.indexOf("/", end + 1)) this.#directory(path.slice(0, end));
  }

  #directory(path: string): void {
    if (this.#made.has(path)) return;
    const found = this.#statOf(path);
    if (found && !found.isDirectory())
      throw new HullError(
        "failed-precondition",
        `${this.#at(path)} is no directory, but one of the result: remove it first`,
      );
    if (!found) mkdirSync(this.#at(path));
    this.#made.add(path);
  }

  #statOf(path: string) {
    return lstatSync(this.#at(path), { throwIfNoEntry: false });
  }

  #at(path: string): string {
    return `${this.root}/${path}`;
  }
}

const seconds = (ns: bigint): number => Number(ns) / 1e9;
