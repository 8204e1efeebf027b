/** File trees for tests, from few words. */
import { createHash } from "node:crypto";
import type { FileEntry, FileTree } from "./entry.ts";
import { comparePaths } from "./path-text.ts";

const base: FileEntry = {
  path: "",
  kind: "file",
  mode: 0o644,
  uid: 0,
  gid: 0,
  size: 0,
  mtimeNs: 1_000_000_000n,
  sha256: "",
  linkTarget: "",
  hardLinkTo: "",
  deviceMajor: 0,
  deviceMinor: 0,
  xattrs: [],
};

/** Its bytes are its path when not given. */
export function file(path: string, { bytes = path, mode = 0o644 } = {}): FileEntry {
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return { ...base, path, mode, size: Buffer.byteLength(bytes), sha256 };
}

export const directory = (path: string, mode = 0o755): FileEntry => ({ ...base, path, kind: "directory", mode });

export const link = (path: string, linkTarget: string): FileEntry => ({
  ...base,
  path,
  kind: "symlink",
  mode: 0o777,
  linkTarget,
});

/** "dir/", "file", "link -> target" or a whole entry; missing parents are made. */
export function tree(...names: readonly (string | FileEntry)[]): FileTree {
  const entries = new Map<string, FileEntry>();
  for (const name of names) {
    const entry = typeof name === "string" ? entryOf(name) : name;
    const parts = entry.path.split("/");
    for (let depth = 1; depth < parts.length; depth++) {
      const parent = parts.slice(0, depth).join("/");
      if (!entries.has(parent)) entries.set(parent, directory(parent));
    }
    entries.set(entry.path, entry);
  }
  const sorted = [...entries.values()].sort((a, b) => comparePaths(a.path, b.path));
  return { entries: sorted, source: { kind: "store", directory: "/nowhere" } };
}

function entryOf(name: string): FileEntry {
  const [path, target] = name.split(" -> ");
  if (target !== undefined) return link(path!, target);
  return name.endsWith("/") ? directory(name.slice(0, -1)) : file(name);
}
