/**
 * Mount points that the runtime makes in a layer where the image has none, and the directories that overlayfs copies up for them. They are
 * no part of the layer: noted once the command is ready and before it runs, taken away again after it, unless it made something of them.
 */
import { type BigIntStats, lstatSync, readdirSync, rmdirSync, unlinkSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { codeOf } from "../../platform/errors.ts";

export interface Stub {
  /** Relative to the layer. */
  readonly path: string;
  /** As it was before the command. */
  readonly before: BigIntStats;
  /** Of the same directory in the base; undefined: there was nothing. */
  readonly base: BigIntStats | undefined;
}

/** Paths below a layer's directory, parents first. */
export function pathsBelow(directory: string, below = ""): string[] {
  return readdirSync(join(directory, below), { withFileTypes: true }).flatMap((entry) => {
    const path = join(below, entry.name);
    return entry.isDirectory() ? [path, ...pathsBelow(directory, path)] : [path];
  });
}

export interface StubRequest {
  readonly upper: string;
  /** Top first. */
  readonly lowers: readonly string[];
  /** What was in the layer before, and is none of ours. */
  readonly known: ReadonlySet<string>;
  /** They and their parents are the image's when they had to be made: the working directory, volumes of dockerd's own builder. */
  readonly kept: readonly string[];
}

/** Everything that the preparation of the command has made. Looks at a handful of entries. */
export function findStubs({ upper, lowers, known, kept }: StubRequest): Stub[] {
  const keeps = kept.map((path) => join("/", path, "/"));
  return pathsBelow(upper).flatMap((path) => {
    const base = inBase(lowers, path);
    if (known.has(path) || (base === undefined && keeps.some((kept) => kept.startsWith(`/${path}/`)))) return [];
    return [{ path, before: lstatSync(join(upper, path), { bigint: true }), base }];
  });
}

function inBase(lowers: readonly string[], path: string): BigIntStats | undefined {
  for (const lower of lowers) {
    const found = look(join(lower, path));
    if (found) return found.isCharacterDevice() && found.rdev === 0n ? undefined : found;
  }
  return undefined;
}

function look(path: string): BigIntStats | undefined {
  try {
    return lstatSync(path, { bigint: true, throwIfNoEntry: false });
  } catch (error) {
    // A file stands where the path has a directory.
    if ((error as NodeJS.ErrnoException).code === "ENOTDIR") return undefined;
    throw error;
  }
}

/** After the command, when nothing has the layer mounted any more. */
export function removeStubs(upper: string, stubs: readonly Stub[]): void {
  const now = new Map(stubs.map(({ path }) => [path, look(join(upper, path))]));
  for (const stub of stubs.toReversed()) {
    const after = now.get(stub.path);
    if (after === undefined || after.ino !== stub.before.ino) continue;
    if (isUntouched(stub, after) && removed(join(upper, stub.path), after)) continue;
    if (after.isDirectory()) restoreTime(join(upper, stub.path), stub, after);
  }
}

/** A directory that was made for a mount may have had things in it meanwhile; a copied one or a file must not have changed at all. */
function isUntouched({ before, base }: Stub, after: BigIntStats): boolean {
  const alike = after.mode === before.mode && after.uid === before.uid && after.gid === before.gid;
  return alike && ((base === undefined && after.isDirectory()) || after.ctimeNs === before.ctimeNs);
}

function removed(path: string, stats: BigIntStats): boolean {
  try {
    if (stats.isDirectory()) rmdirSync(path);
    else unlinkSync(path);
    return true;
  } catch (error) {
    if (["ENOTEMPTY", "EEXIST"].includes((error as NodeJS.ErrnoException).code ?? "")) return false;
    if (codeOf(error) === "not-found") return true;
    throw error;
  }
}

const NS_PER_S = 1e9;

/** What the runtime did in it and what we undo is not a change of the command's. */
function restoreTime(path: string, { before, base }: Stub, after: BigIntStats): void {
  const byCommand = after.mtimeNs !== before.mtimeNs;
  const wanted = byCommand || base === undefined ? after.mtimeNs : base.mtimeNs;
  const seconds = (ns: bigint): number => Number(ns) / NS_PER_S;
  if (look(path)?.mtimeNs !== wanted) utimesSync(path, seconds(after.atimeNs), seconds(wanted));
}
