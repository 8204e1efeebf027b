/**
 * The key of what a COPY selects: equal for equal contents wherever they come from, never the time. Sha256 of a text of records, one per file, directory, link
 * or device, in the tree's order, each of fields that end in NUL:
 *
 *   a source:   "source", then its name when it is no directory (a directory's own attributes go nowhere: its contents are copied)
 *   an entry:   path relative to the source, kind, mode in octal (of a link: 777), uid, gid, size, sha256, link target, "major:minor"
 *   its xattrs: name and value each, without security.* and system.*, but with security.capability; then an empty field
 *
 * Hard links count as files of their own, as BuildKit has it.
 */
import { createHash, type Hash, hash as hashOnce } from "node:crypto";
import type { FileEntry } from "./entry.ts";
import { encodePath } from "./path-text.ts";
import type { Selection } from "./select.ts";

const version = "hull-selection 1\0";
const charactersPerUpdate = 1 << 16;

/** Hexadecimal. */
export function contentKey({ sources }: Selection): string {
  const hash = createHash("sha256");
  let text = version;
  for (const { name, entry, contents } of sources) {
    if (entry.kind !== "directory") {
      text += `source\0${name}\0${recordOf(entry, "")}`;
      continue;
    }
    text += "source\0\0";
    const prefix = entry.path === "" ? 0 : entry.path.length + 1;
    for (const child of contents) {
      text += recordOf(child, child.path.slice(prefix));
      if (text.length > charactersPerUpdate) text = flush(hash, text);
    }
  }
  flush(hash, text);
  return hash.digest("hex");
}

/** One entry's key: of a bind mount's single file, of a tree's comparison. */
export const entryKey = (entry: FileEntry): string => hashOnce("sha256", encodePath(recordOf(entry, "")), "hex");

function flush(hash: Hash, text: string): string {
  hash.update(encodePath(text));
  return "";
}

function recordOf(entry: FileEntry, path: string): string {
  const { kind, uid, gid, size, sha256, linkTarget, deviceMajor, deviceMinor, xattrs } = entry;
  const mode = kind === "symlink" ? 0o777 : entry.mode;
  const attributes = `${kind}\0${mode.toString(8)}\0${uid}\0${gid}\0${size}\0${sha256}\0${linkTarget}`;
  return `${path}\0${attributes}\0${deviceMajor}:${deviceMinor}\0${xattrs.length === 0 ? "" : xattrFields(xattrs)}\0`;
}

function xattrFields(xattrs: FileEntry["xattrs"]): string {
  const counted = xattrs.filter(([name]) => name === "security.capability" || !/^(?:security|system)\./.test(name));
  return counted.map(([name, value]) => `${name}\0${Buffer.from(value, "latin1").toString("hex")}\0`).join("");
}
