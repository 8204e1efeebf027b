/**
 * A file tree as a file (docs/protocols.md, "File indexes"): fields that end in NUL. Contexts and snapshots are indexed by keel, read here.
 * The reader checks everything that the builder relies on: order, parents that are directories, hard links to earlier files, the end mark.
 */
import { HullError } from "../../platform/errors.ts";
import type { FileEntry, FileKind } from "./entry.ts";
import { comparePaths, decodePath, encodePath } from "./path-text.ts";

const magic = "hull-index 1";
const fieldsBeforeXattrs = 3;
const bytesPerPass = 1 << 20;

const kindOfLetter: Readonly<Record<string, FileKind>> = {
  f: "file",
  d: "directory",
  l: "symlink",
  p: "fifo",
  c: "character",
  b: "block",
  s: "socket",
};
export const letterOfKind: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(kindOfLetter).map(([letter, kind]) => [kind, letter]),
);

export function encodeIndex(entries: Iterable<FileEntry>): Buffer {
  return Buffer.concat([...encodeIndexInBlocks(entries)]);
}

/** The file in blocks of a few thousand entries, for writing while walking. */
export function* encodeIndexInBlocks(entries: Iterable<FileEntry>): Generator<Buffer> {
  let fields: string[] = [magic];
  let count = 0;
  for (const entry of entries) {
    fields.push(...fieldsOf(entry));
    count++;
    if (fields.length < 16_384) continue;
    yield encodePath(`${fields.join("\0")}\0`);
    fields = [];
  }
  fields.push("", `end ${count}`);
  yield encodePath(`${fields.join("\0")}\0`);
}

function fieldsOf(entry: FileEntry): string[] {
  const { mode, uid, gid, size, mtimeNs, deviceMajor, deviceMinor, xattrs } = entry;
  const numbers = `${mode.toString(8)} ${uid} ${gid} ${size} ${mtimeNs} ${entry.sha256 || "-"}`;
  return [
    entry.path,
    `${letterOfKind[entry.kind]} ${numbers} ${deviceMajor} ${deviceMinor} ${xattrs.length}`,
    entry.linkTarget || entry.hardLinkTo,
    ...xattrs.flatMap(([name, value]) => [name, Buffer.from(value, "latin1").toString("hex")]),
  ];
}

/** Throws failed-precondition for a file that is damaged or cut short. */
export function decodeIndex(bytes: Buffer): FileEntry[] {
  const decoder = new IndexDecoder();
  const entries: FileEntry[] = [];
  for (let at = 0; at < bytes.length; at += bytesPerPass) {
    for (const entry of decoder.push(bytes.subarray(at, at + bytesPerPass))) entries.push(entry);
  }
  decoder.end();
  return entries;
}

/** Lifecycle: `push` the file's bytes in order, each answers the entries that became whole; `end` checks that the file was. */
export class IndexDecoder {
  #partial: Buffer[] = [];
  #fields: string[] = [];
  #started = false;
  #ended = false;
  #count = 0;
  readonly #order = new OrderCheck();

  push(chunk: Buffer): FileEntry[] {
    const cut = chunk.lastIndexOf(0) + 1;
    if (cut === 0) {
      this.#partial.push(chunk);
      return [];
    }
    const text = decodePath(Buffer.concat([...this.#partial, chunk.subarray(0, cut - 1)]));
    this.#partial = cut < chunk.length ? [chunk.subarray(cut)] : [];
    const fresh = text.split("\0");
    return this.#take(this.#fields.length === 0 ? fresh : [...this.#fields, ...fresh]);
  }

  end(): void {
    if (!this.#ended || this.#partial.length > 0) throw damaged(this.#count, "it is cut short");
  }

  #take(fields: readonly string[]): FileEntry[] {
    let at = 0;
    if (!this.#started) {
      if (fields[0] !== magic) throw damaged(0, `it begins with ${JSON.stringify(fields[0]!.slice(0, 40))}`);
      this.#started = true;
      at = 1;
    }
    const entries: FileEntry[] = [];
    while (at + 1 < fields.length) {
      if (this.#ended) throw damaged(this.#count, "something follows its end");
      const attributes = fields[at + 1]!;
      if (attributes.startsWith("end ")) {
        this.#finish(attributes);
        at += 2;
        continue;
      }
      const length = fieldsBeforeXattrs + 2 * Number(attributes.slice(attributes.lastIndexOf(" ") + 1));
      if (!(at + length <= fields.length)) break;
      const entry = parseEntry(fields, at, this.#count);
      this.#order.check(entry, this.#count);
      entries.push(entry);
      this.#count++;
      at += length;
    }
    this.#fields = fields.slice(at);
    if (this.#ended && this.#fields.length > 0) throw damaged(this.#count, "something follows its end");
    return entries;
  }

  #finish(attributes: string): void {
    if (attributes !== `end ${this.#count}`) throw damaged(this.#count, `it says ${attributes}`);
    this.#ended = true;
  }
}

const noXattrs: FileEntry["xattrs"] = [];

function parseEntry(fields: readonly string[], at: number, index: number): FileEntry {
  const parts = fields[at + 1]!.split(" ");
  const kind = kindOfLetter[parts[0]!];
  if (kind === undefined || parts.length !== 10)
    throw damaged(index, `bad attributes ${JSON.stringify(fields[at + 1])}`);
  const link = fields[at + 2]!;
  return {
    path: fields[at]!,
    kind,
    mode: Number.parseInt(parts[1]!, 8),
    uid: wholeNumber(parts[2]!, index),
    gid: wholeNumber(parts[3]!, index),
    size: wholeNumber(parts[4]!, index),
    mtimeNs: nanoseconds(parts[5]!, index),
    sha256: parts[6] === "-" ? "" : parts[6]!,
    linkTarget: kind === "symlink" ? link : "",
    hardLinkTo: kind === "symlink" ? "" : link,
    deviceMajor: wholeNumber(parts[7]!, index),
    deviceMinor: wholeNumber(parts[8]!, index),
    xattrs: parts[9] === "0" ? noXattrs : parseXattrs(fields, at + fieldsBeforeXattrs, Number(parts[9])),
  };
}

function wholeNumber(text: string, index: number): number {
  const value = Number(text);
  if (text === "" || !Number.isSafeInteger(value) || value < 0)
    throw damaged(index, `bad number ${JSON.stringify(text)}`);
  return value;
}

function nanoseconds(text: string, index: number): bigint {
  if (!/^-?\d+$/.test(text)) throw damaged(index, `bad time ${JSON.stringify(text)}`);
  return BigInt(text);
}

function parseXattrs(fields: readonly string[], from: number, count: number): FileEntry["xattrs"] {
  return Array.from({ length: count }, (_, index) => {
    const value = Buffer.from(fields[from + 2 * index + 1]!, "hex").toString("latin1");
    return [fields[from + 2 * index]!, value] as const;
  });
}

/** What every reader of a tree takes for granted. */
class OrderCheck {
  #previous: string | undefined;
  /** The directories that the last entry is in, outermost first; itself when it is one. */
  readonly #directories: string[] = [];
  readonly #linkable = new Set<string>();

  check(entry: FileEntry, index: number): void {
    const { path } = entry;
    if (this.#previous !== undefined && comparePaths(this.#previous, path) >= 0) {
      throw damaged(index, `${JSON.stringify(path)} follows ${JSON.stringify(this.#previous)}`);
    }
    this.#previous = path;
    this.#enter(entry, index);
    if (entry.hardLinkTo === "") {
      if (entry.kind !== "directory") this.#linkable.add(path);
    } else if (!this.#linkable.has(entry.hardLinkTo)) {
      throw damaged(index, `${JSON.stringify(path)} links to ${JSON.stringify(entry.hardLinkTo)}`);
    }
  }

  /** With every directory checked, a path is good when its last component is. */
  #enter({ path, kind }: FileEntry, index: number): void {
    if (path === "") return;
    const open = this.#directories;
    const cut = path.lastIndexOf("/");
    const name = path.slice(cut + 1);
    if (name === "" || name === "." || name === ".." || cut === 0)
      throw damaged(index, `bad path ${JSON.stringify(path)}`);
    if (cut < 0) open.length = 0;
    else {
      const parent = path.slice(0, cut);
      while (open.length > 0 && open[open.length - 1] !== parent) open.pop();
      if (open.length === 0) throw damaged(index, `${JSON.stringify(path)} has no directory`);
    }
    if (kind === "directory") open.push(path);
  }
}

const damaged = (index: number, what: string) =>
  new HullError("failed-precondition", `the file index is damaged at entry ${index}: ${what}`);
