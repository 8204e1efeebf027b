/** fsutil's Stat carries Go's os.FileMode: kinds and special bits at the top, permissions below. */

import { HullError } from "../../../platform/errors.ts";
import type { Stat } from "../../gen/fsutil/types_pb.ts";
import type { FileEntry, FileKind } from "../entry.ts";

const bit = {
  directory: 31,
  symlink: 27,
  device: 26,
  pipe: 25,
  socket: 24,
  setuid: 23,
  setgid: 22,
  character: 21,
  sticky: 20,
} as const;
const has = (mode: number, name: keyof typeof bit): boolean => ((mode >>> bit[name]) & 1) === 1;
const of = (name: keyof typeof bit): number => 2 ** bit[name];

export function kindOfGoMode(mode: number): FileKind {
  if (has(mode, "directory")) return "directory";
  if (has(mode, "symlink")) return "symlink";
  if (has(mode, "device")) return has(mode, "character") ? "character" : "block";
  if (has(mode, "pipe")) return "fifo";
  return has(mode, "socket") ? "socket" : "file";
}

export function permissionsOfGoMode(mode: number): number {
  const special =
    (has(mode, "setuid") ? 0o4000 : 0) | (has(mode, "setgid") ? 0o2000 : 0) | (has(mode, "sticky") ? 0o1000 : 0);
  return (mode & 0o777) | special;
}

const goKind: Readonly<Record<FileKind, number>> = {
  file: 0,
  directory: of("directory"),
  symlink: of("symlink"),
  character: of("device") + of("character"),
  block: of("device"),
  fifo: of("pipe"),
  socket: of("socket"),
};

export function goMode(kind: FileKind, mode: number): number {
  const special =
    (mode & 0o4000 ? of("setuid") : 0) + (mode & 0o2000 ? of("setgid") : 0) + (mode & 0o1000 ? of("sticky") : 0);
  return goKind[kind] + special + (mode & 0o777);
}

/** What a client says of a file of its; its hash is not known yet. Throws invalid-argument for a path that leads out of the tree. */
export function entryOfStat(stat: Stat): FileEntry {
  const path = stat.path.replace(/^\/+/, "");
  const parts = path.split("/");
  if (path === "" || parts.some((part) => part === "" || part === "." || part === ".."))
    throw new HullError("invalid-argument", `the client sent a file with the path ${JSON.stringify(stat.path)}`);
  const kind = kindOfGoMode(stat.mode);
  const isLink = kind === "symlink";
  return {
    path,
    kind,
    mode: permissionsOfGoMode(stat.mode),
    uid: stat.uid,
    gid: stat.gid,
    size: kind === "file" ? Number(stat.size) : 0,
    mtimeNs: stat.modTime,
    sha256: "",
    linkTarget: isLink ? stat.linkname : "",
    hardLinkTo: kind === "file" ? stat.linkname.replace(/^\/+/, "") : "",
    deviceMajor: Number(stat.devmajor),
    deviceMinor: Number(stat.devminor),
    xattrs: Object.entries(stat.xattrs)
      .map(([name, value]) => [name, Buffer.from(value).toString("latin1")] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  };
}
