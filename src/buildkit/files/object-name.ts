/** The name of a file's object in the store of contexts: its bytes and what links to it share (docs/protocols.md, "File indexes"). */
import { createHash } from "node:crypto";
import type { FileEntry } from "./entry.ts";

export function objectName({ sha256, mode, uid, gid, mtimeNs }: FileEntry): string {
  const attributes = createHash("sha256")
    .update(`${mode.toString(8)} ${uid} ${gid} ${mtimeNs}`)
    .digest("hex");
  return `${sha256}-${attributes.slice(0, 16)}`;
}
