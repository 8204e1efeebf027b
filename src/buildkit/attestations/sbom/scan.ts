/** The packages of a tree: one scanner for each kind of package database. */
import { createHash } from "node:crypto";
import { scanApk } from "./apk.ts";
import { scanDpkg } from "./dpkg.ts";
import { scanNpm } from "./npm.ts";
import { scanPypi } from "./pypi.ts";
import type { Distribution, EvidenceFile, FoundPackage, ScannedTree, Scanner } from "./scanned-tree.ts";

/** Larger ones are not read, and named. */
const MOST_BYTES = 32 * 1024 * 1024;

const scanners: readonly Scanner[] = [scanDpkg, scanApk, scanNpm, scanPypi];

export interface Scan {
  readonly distribution: Distribution;
  readonly packages: readonly FoundPackage[];
  readonly files: readonly EvidenceFile[];
  /** Files that should have been read and could not: too large. */
  readonly unread: readonly string[];
}

/** Abort stops it between two files. */
export async function scanTree(tree: ScannedTree, signal: AbortSignal): Promise<Scan> {
  const files = new Map<string, EvidenceFile>();
  const unread = new Set<string>();
  const look = async (path: string): Promise<string | undefined> => {
    signal.throwIfAborted();
    return (await tree.read(path, MOST_BYTES))?.toString();
  };
  const read = async (path: string): Promise<string | undefined> => {
    signal.throwIfAborted();
    const bytes = await tree.read(path, MOST_BYTES);
    if (bytes === undefined) unread.add(path);
    else files.set(path, { path, sha1: hashOf("sha1", bytes), sha256: hashOf("sha256", bytes) });
    return bytes?.toString();
  };
  const distribution = await distributionOf(look);
  const packages: FoundPackage[] = [];
  for (const scan of scanners) packages.push(...(await scan({ entries: tree.entries, distribution, read, look })));
  const used = new Set(packages.map(({ evidence }) => evidence));
  return {
    ...{ distribution, packages: packages.sort((a, b) => (a.url < b.url ? -1 : a.url > b.url ? 1 : 0)) },
    files: [...files.values()].filter(({ path }) => used.has(path)),
    unread: [...unread].sort(),
  };
}

const hashOf = (algorithm: string, bytes: Buffer): string => createHash(algorithm).update(bytes).digest("hex");

async function distributionOf(look: (path: string) => Promise<string | undefined>): Promise<Distribution> {
  const text = (await look("etc/os-release")) ?? (await look("usr/lib/os-release")) ?? "";
  const value = (name: string): string =>
    (new RegExp(`^${name}=(.*)$`, "m").exec(text)?.[1] ?? "").trim().replace(/^(["'])(.*)\1$/, "$2");
  return { id: value("ID").toLowerCase(), version: value("VERSION_ID") };
}
