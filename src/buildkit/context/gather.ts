/** Files of a directory that a client of this machine has open, taken into the store of contexts by `keel gather`: their bytes do not travel. */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { cpus } from "node:os";
import { join } from "node:path";
import { HullError } from "../../platform/errors.ts";
import { keelPath } from "../../platform/paths.ts";
import type { FileEntry } from "../files/entry.ts";
import { decodeIndex } from "../files/tree-index.ts";
import { failureIn, KeelFailure, outcomeOf, spawnGroup } from "./keel-process.ts";

/** The directory that is a descriptor of a process. */
export interface LocalDirectory {
  readonly pid: number;
  readonly descriptor: number;
  /** That it is the one which is meant. */
  readonly device: bigint;
  readonly inode: bigint;
}

export interface GatherTarget {
  /** The store of contexts' files. */
  readonly objects: string;
  /** A directory of the caller's, for indexes. */
  readonly scratch: string;
  readonly signal: AbortSignal;
}

/** Less is done by one process. */
const SHARE_BYTES = 16 * 1024 * 1024;

/** keel's codes when the process or its directory can't be had, or the files not with its rights: the client may still send them. */
const REFUSALS: ReadonlySet<string> = new Set(["no-such-process", "permission-denied"]);

/** The files with their hashes, and sizes as they were read. Undefined: they can't be had, and nothing is known of them. Throws what is wrong with one. */
export async function gatherFiles(
  directory: LocalDirectory,
  files: readonly FileEntry[],
  target: GatherTarget,
): Promise<FileEntry[] | undefined> {
  const others = new AbortController();
  const signal = AbortSignal.any([target.signal, others.signal]);
  const shares = sharesOf(files).map((share, i) =>
    gatherShare(directory, share, { ...target, signal, scratch: join(target.scratch, `index-${i}`) }).catch((error) => {
      others.abort(error);
      throw error;
    }),
  );
  const ended = await Promise.allSettled(shares);
  target.signal.throwIfAborted();
  const failed =
    ended.find((one) => one.status === "rejected" && one.reason instanceof KeelFailure) ??
    ended.find((one) => one.status === "rejected");
  if (failed?.status !== "rejected") {
    const found = ended.flatMap((one) => (one.status === "fulfilled" ? one.value : []));
    const byPath = new Map(found.map((entry) => [entry.path, entry]));
    return files.map((file) => byPath.get(file.path)!);
  }
  const error: unknown = failed.reason;
  if (!(error instanceof KeelFailure)) throw error;
  if (REFUSALS.has(error.code)) return undefined;
  throw new HullError("failed-precondition", `the client's files cannot be read: ${error.message}`);
}

/** Of about the same size, one after the other in turn. */
function sharesOf(files: readonly FileEntry[]): FileEntry[][] {
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  const count = Math.max(1, Math.min(cpus().length, Math.floor(bytes / SHARE_BYTES)));
  const shares = Array.from({ length: count }, (): FileEntry[] => []);
  const loads = shares.map(() => 0);
  for (const file of files) {
    const least = loads.indexOf(Math.min(...loads));
    shares[least]!.push(file);
    loads[least]! += file.size;
  }
  return shares;
}

async function gatherShare(
  { pid, descriptor, device, inode }: LocalDirectory,
  files: readonly FileEntry[],
  { objects, scratch: index, signal }: GatherTarget,
): Promise<FileEntry[]> {
  const args = [
    "gather",
    "--store",
    objects,
    "--index",
    index,
    "--directory",
    `${pid}:${descriptor}:${device}:${inode}`,
  ];
  const child = spawnGroup(keelPath(), args, ["pipe", "ignore", "pipe"]);
  const list = child.stdin!;
  list.on("error", () => undefined); // It has ended, which is told.
  const ended = gathered(child, signal);
  ended.catch(() => undefined); // Told below.
  for (const part of listsOf(files)) if (!list.write(part)) await Promise.race([once(list, "drain"), ended]);
  list.end();
  await ended;
  const found = new Map(decodeIndex(await readFile(index)).map((entry) => [entry.path, entry]));
  return files.map((file) => {
    const { size, sha256 } = found.get(file.path)!;
    return { ...file, size, sha256 };
  });
}

async function gathered(child: ChildProcess, signal: AbortSignal): Promise<void> {
  const { code, said } = await outcomeOf(child, signal);
  if (code !== 0) throw failureIn(said);
}

const LIST_FILES = 1000;

function* listsOf(files: readonly FileEntry[]): Generator<string> {
  for (let at = 0; at < files.length; at += LIST_FILES)
    yield files
      .slice(at, at + LIST_FILES)
      .map(({ path, mode, uid, gid, mtimeNs }) => `${path}\0${mode.toString(8)} ${uid} ${gid} ${mtimeNs}\0`)
      .join("");
}
