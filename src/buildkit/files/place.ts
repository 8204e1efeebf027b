/** Where what COPY and ADD selected goes, with which owner and mode: the placements for keel. */
import { HullError } from "../../platform/errors.ts";
import type { Dialect } from "../graph/vertex.ts";
import type { Placement, ResolvedPath } from "../solver/ports.ts";
import { modeOfMadeDirectories, parseChmod } from "./chmod.ts";
import type { FileEntry } from "./entry.ts";
import type { OwnerIds } from "./owner.ts";
import { comparePaths } from "./path-text.ts";
import type { SelectedSource, Selection } from "./select.ts";

export interface Destination {
  /** As the instruction has it, made absolute: a "/" or "/." at its end says that it is a directory. */
  readonly text: string;
  /** Where `text` leads in the base. */
  readonly resolved: ResolvedPath;
  /** Undefined: as the source has it (from images and stages); contexts of clients give 0:0. */
  readonly owner: OwnerIds | undefined;
  /** --chmod */
  readonly chmod: string | undefined;
  readonly instruction: "COPY" | "ADD";
  readonly dialect: Dialect;
}

/**
 * Ordered as trees are, one per path: of several sources the last one wins. A destination directory that is missing gets an entry of its own when a directory is copied
 * (0755 or what an octal --chmod says, not the source's); other missing parents are `Files.place`'s. `entry.path` and `entry.hardLinkTo` are paths of the layer.
 * Throws invalid-argument for a file where a directory is wanted, for a bad --chmod and, in the classic dialect, for several sources without a final "/".
 */
export function placeSelection({ sources }: Selection, destination: Destination): Placement[] {
  checkSeveral(sources, destination);
  const attributes = attributesFor(destination);
  const placed = new Map<string, Placement>();
  for (const source of sources) {
    const list =
      source.entry.kind === "directory" ? ofDirectory(source, destination) : ofFile(sources, source, destination);
    for (const placement of list) {
      const isMade = placement.path === destination.resolved.path && placement.entry.kind === "directory";
      put(placed, isMade ? placement : { ...placement, entry: attributes(placement.entry) }, destination.dialect);
    }
  }
  if (sources.length < 2) return [...placed.values()];
  const sorted = [...placed.values()].sort((a, b) => comparePaths(a.path, b.path));
  return sorted.map((placement) => withLivingLink(placed, placement));
}

const ROOT: OwnerIds = { uid: 0, gid: 0 };

/** Missing parents of the destination get this: with dockerd's own builder root's, where it is a directory that makes them. */
export function parentOwner(
  { sources }: Selection,
  { owner, dialect }: Pick<Destination, "owner" | "dialect">,
): OwnerIds {
  const byDirectory = dialect === "classic" && sources[0]?.entry.kind === "directory";
  return byDirectory ? ROOT : (owner ?? ROOT);
}

/** "/a/" and "/a/." are directories, whatever is there. */
export const namesDirectory = (text: string): boolean => /(?:^|\/)\.?$/.test(text);

function checkSeveral(sources: readonly SelectedSource[], { text, instruction, dialect }: Destination): void {
  if (dialect !== "classic" || sources.length < 2 || text.endsWith("/")) return;
  throw new HullError(
    "invalid-argument",
    `When using ${instruction} with more than one source file, the destination must be a directory and end with a /`,
  );
}

function attributesFor({ owner, chmod }: Destination): (entry: FileEntry) => FileEntry {
  const change = chmod === undefined ? undefined : parseChmod(chmod);
  if (owner === undefined && change === undefined) return (entry) => entry;
  return (entry) => {
    const keepsMode = change === undefined || entry.kind === "symlink";
    const mode = keepsMode ? entry.mode : change(entry.mode, entry.kind === "directory");
    return { ...entry, ...owner, mode };
  };
}

function ofDirectory({ entry, contents }: SelectedSource, destination: Destination): Placement[] {
  const { resolved, chmod } = destination;
  if (resolved.kind !== "directory" && resolved.kind !== "missing") throw notDirectory(destination);
  const prefix = entry.path === "" ? 0 : entry.path.length + 1;
  const inLayer = (path: string) => join(resolved.path, path.slice(prefix));
  const top: Placement[] = [];
  if (resolved.kind === "missing") {
    const made = {
      ...entry,
      path: resolved.path,
      mode: modeOfMadeDirectories(chmod),
      xattrs: [],
      ...(destination.owner ?? ROOT),
    };
    top.push({ path: resolved.path, entry: made, sourcePath: entry.path });
  }
  const first = new Map<string, string>();
  // No layer holds a socket, and what listened at it has gone.
  const copied = contents.filter(({ kind }) => kind !== "socket");
  return top.concat(
    copied.map((child) => {
      const path = inLayer(child.path);
      const hardLinkTo = linked(first, child, path);
      return { path, entry: { ...child, path, hardLinkTo }, sourcePath: child.path };
    }),
  );
}

/** Of a file's names the first that is placed is the file. */
function linked(first: Map<string, string>, { kind, path, hardLinkTo }: FileEntry, placed: string): string {
  if (kind === "directory") return "";
  const original = hardLinkTo === "" ? path : hardLinkTo;
  const earlier = first.get(original);
  if (earlier === undefined) first.set(original, placed);
  return earlier ?? "";
}

function ofFile(
  sources: readonly SelectedSource[],
  { name, entry }: SelectedSource,
  destination: Destination,
): Placement[] {
  const { text, resolved } = destination;
  const several = destination.dialect === "buildkit" && sources.length > 1;
  const wantsDirectory = several || namesDirectory(text);
  if (wantsDirectory && resolved.kind !== "directory" && resolved.kind !== "missing") throw notDirectory(destination);
  const path = wantsDirectory || resolved.kind === "directory" ? join(resolved.path, name) : resolved.path;
  return [{ path, entry: { ...entry, path, hardLinkTo: "" }, sourcePath: entry.path }];
}

const join = (directory: string, path: string) =>
  directory === "" || path === "" ? directory + path : `${directory}/${path}`;

const notDirectory = ({ text }: Destination) =>
  new HullError("invalid-argument", `cannot copy to non-directory: ${text}`, { facts: { path: text } });

/** BuildKit refuses a file where another source put a directory and the other way round; the classic builder replaces what was there. */
function put(placed: Map<string, Placement>, placement: Placement, dialect: Dialect): void {
  const { path } = placement;
  const before = placed.get(path);
  const isDirectory = placement.entry.kind === "directory";
  if (before !== undefined && (before.entry.kind === "directory") !== isDirectory) {
    if (dialect === "buildkit") {
      const what = isDirectory ? "cannot copy to non-directory:" : "cannot replace to directory";
      throw new HullError("invalid-argument", `${what} /${path}`, { facts: { path } });
    }
    for (const other of placed.keys()) if (other.startsWith(`${path}/`)) placed.delete(other);
  }
  placed.set(path, placement);
}

const linkedAttributes = ["kind", "sha256", "mode", "uid", "gid", "mtimeNs"] as const;

/** A later source may have replaced the name that a hard link leads to. */
function withLivingLink(placed: ReadonlyMap<string, Placement>, placement: Placement): Placement {
  const { hardLinkTo } = placement.entry;
  if (hardLinkTo === "") return placement;
  const target = placed.get(hardLinkTo)?.entry;
  const same = linkedAttributes.every((name) => target?.[name] === placement.entry[name]);
  return same ? placement : { ...placement, entry: { ...placement.entry, hardLinkTo: "" } };
}
