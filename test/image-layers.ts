/** What `docker save` (and BuildKit's docker exporter) wrote: configurations, and layers as lists of files with all that a layer says of them. */
import { createHash } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";

const BLOCK = 512;
/** Times of what is built differ from run to run; those of what was prepared are before this. */
const LONG_AGO_S = 1_650_000_000;

interface Entry {
  readonly name: string;
  readonly type: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtime: number;
  readonly link: string;
  readonly device: string;
  readonly xattrs: readonly string[];
  /** Where its bytes begin. */
  readonly at: number;
}

export interface SavedImage {
  readonly config: Record<string, unknown>;
  /** Base first. */
  readonly layers: readonly SavedLayer[];
}

export interface SavedLayer {
  /** By path: type, mode, owner, size, hash, target, device, extended attributes; of hard links what they share and the first name. */
  files(): Record<string, string>;
}

/** Images of an archive whose layers are not compressed, by their first name. */
export class SavedImages implements Disposable {
  readonly #file: number;
  readonly #members: Map<string, Entry>;

  constructor(path: string) {
    this.#file = openSync(path, "r");
    this.#members = new Map([...entriesOf(this.#file, 0)].map((entry) => [entry.name, entry]));
  }

  image(name: string): SavedImage {
    const manifests = this.#json("manifest.json") as { Config: string; Layers: string[]; RepoTags: string[] }[];
    const manifest = manifests.find(({ RepoTags }) => RepoTags?.includes(name));
    if (manifest === undefined) throw new Error(`no image ${name} in the archive`);
    const layers = manifest.Layers.map((layer) => ({ files: () => filesOf(this.#file, this.#member(layer)) }));
    return { config: this.#json(manifest.Config) as Record<string, unknown>, layers };
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
  }

  #json(name: string): unknown {
    return JSON.parse(bytesOf(this.#file, this.#member(name)).toString("utf8"));
  }

  /** Docker writes a layer that several images share once, and links to it. */
  #member(name: string): Entry {
    const entry = this.#members.get(name);
    if (entry === undefined) throw new Error(`no ${name} in the archive`);
    if (entry.type !== "2") return entry;
    return this.#member(new URL(entry.link, `file:///${name}`).pathname.slice(1));
  }
}

function filesOf(file: number, layer: Entry): Record<string, string> {
  const entries = [...entriesOf(file, layer.at)].map((entry) => ({ ...entry, name: plainName(entry.name) }));
  const byName = new Map(entries.map((entry) => [entry.name, entry]));
  const targetOf = (entry: Entry): Entry => (entry.type === "1" ? targetOf(byName.get(plainName(entry.link))!) : entry);
  const names = Map.groupBy(entries, (entry) => targetOf(entry).name);
  const described = entries.map((entry) => {
    const target = targetOf(entry);
    const [first] = names
      .get(target.name)!
      .map(({ name }) => name)
      .sort();
    return [entry.name, describe(file, target, first === entry.name ? "" : first!)] as const;
  });
  return Object.fromEntries(described.filter(([name]) => name !== "").sort(([a], [b]) => (a < b ? -1 : 1)));
}

const plainName = (name: string): string =>
  name
    .replace(/^\.?\/+/, "")
    .replace(/^\.$/, "")
    .replace(/\/+$/, "");

function describe(file: number, entry: Entry, sharedWith: string): string {
  const { type, mode, uid, gid, size, link, device, mtime, xattrs } = entry;
  const kind = { "0": "file", "2": "link", "3": "char", "4": "block", "5": "dir", "6": "fifo" }[type] ?? type;
  const attributes = [kind, (mode & 0o7777).toString(8), `${uid}:${gid}`];
  if (kind === "file" && /(^|\/)\.wh\.[^/]*$/.test(entry.name) && size === 0) return "whiteout";
  if (kind === "file") attributes.push(`${size}`, createHash("sha256").update(bytesOf(file, entry)).digest("hex"));
  if (kind === "link") attributes.push(`-> ${link}`);
  if (kind === "char" || kind === "block") attributes.push(device);
  if (sharedWith !== "") attributes.push(`= ${sharedWith}`);
  // Builders have no common view of a directory's time.
  if (kind !== "dir" && mtime < LONG_AGO_S) attributes.push(`at ${Math.floor(mtime)}`);
  return [...attributes, ...xattrs].join(" ");
}

function read(file: number, at: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let done = 0; done < length; ) {
    const count = readSync(file, bytes, done, length - done, at + done);
    if (count === 0) throw new Error("the archive ends too early");
    done += count;
  }
  return bytes;
}

const bytesOf = (file: number, { at, size }: Entry): Buffer => read(file, at, size);

/** Names are bytes: latin1 text of them. */
function* entriesOf(file: number, start: number): Generator<Entry> {
  let pax = new Map<string, string>();
  let longName: string | undefined;
  let longLink: string | undefined;
  for (let at = start; ; ) {
    const head = read(file, at, BLOCK);
    if (head.every((byte) => byte === 0)) return;
    const size = Number(pax.get("size") ?? number(head, 124, 12));
    const entry = entryOf(head, { at: at + BLOCK, size, pax, longName, longLink });
    at += BLOCK + Math.ceil(size / BLOCK) * BLOCK;
    if (entry.type === "x") pax = recordsOf(bytesOf(file, entry));
    else if (entry.type === "L") longName = text(bytesOf(file, entry));
    else if (entry.type === "K") longLink = text(bytesOf(file, entry));
    else if (entry.type !== "g") {
      yield entry;
      pax = new Map();
      longName = undefined;
      longLink = undefined;
    }
  }
}

interface Context {
  readonly at: number;
  readonly size: number;
  readonly pax: ReadonlyMap<string, string>;
  readonly longName: string | undefined;
  readonly longLink: string | undefined;
}

function entryOf(head: Buffer, { at, size, pax, longName, longLink }: Context): Entry {
  const prefix = head.toString("latin1", 257, 263) === "ustar\0" ? text(head.subarray(345, 500)) : "";
  const short = text(head.subarray(0, 100));
  const type = String.fromCharCode(head[156]! || 48);
  return {
    name: pax.get("path") ?? longName ?? (prefix === "" ? short : `${prefix}/${short}`),
    type: type === "7" ? "0" : type,
    mode: number(head, 100, 8),
    uid: Number(pax.get("uid") ?? number(head, 108, 8)),
    gid: Number(pax.get("gid") ?? number(head, 116, 8)),
    size,
    mtime: Number(pax.get("mtime") ?? number(head, 136, 12)),
    link: pax.get("linkpath") ?? longLink ?? text(head.subarray(157, 257)),
    device: `${number(head, 329, 8)}:${number(head, 337, 8)}`,
    xattrs: [...pax]
      .filter(([key]) => key.startsWith("SCHILY.xattr."))
      .map(([key, value]) => `${key.slice(13)}=${Buffer.from(value, "latin1").toString("hex")}`)
      .sort(),
    at,
  };
}

const text = (bytes: Buffer): string => {
  const end = bytes.indexOf(0);
  return bytes.toString("latin1", 0, end < 0 ? bytes.length : end);
};

/** Octal, or base 256 when the first bit is set. */
function number(head: Buffer, at: number, length: number): number {
  if (head[at]! & 0x80) return Number(BigInt.asIntN(64, head.readBigUInt64BE(at + length - 8)));
  return Number.parseInt(text(head.subarray(at, at + length)).trim() || "0", 8);
}

function recordsOf(bytes: Buffer): Map<string, string> {
  const records = new Map<string, string>();
  for (let at = 0; at < bytes.length; ) {
    const length = Number(bytes.toString("latin1", at, bytes.indexOf(" ", at)));
    const record = bytes.toString("latin1", bytes.indexOf(" ", at) + 1, at + length - 1);
    records.set(record.slice(0, record.indexOf("=")), record.slice(record.indexOf("=") + 1));
    at += length;
  }
  return records;
}
