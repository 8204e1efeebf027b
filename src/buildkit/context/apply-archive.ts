/** Archives taken in by keel (`keel apply`, `keel ingest`): any compression it knows, no byte through the daemon. */
import type { ChildProcess } from "node:child_process";
import { open, rm } from "node:fs/promises";
import { createInterface } from "node:readline";
import { HullError } from "../../platform/errors.ts";
import { keelPath } from "../../platform/paths.ts";
import type { UploadAt } from "../api.ts";
import { failureIn, outcomeOf, spawnGroup } from "./keel-process.ts";

export interface ApplyTarget {
  /** Of a directory that is there: keel's arguments. */
  readonly place: readonly string[];
  /** Undefined: as the archive has it. */
  readonly owner: { readonly uid: number; readonly gid: number } | undefined;
  readonly signal: AbortSignal;
}

/** Unpacks it. Throws keel's words. */
export function applyArchive(path: string, { place, owner, signal }: ApplyTarget): Promise<void> {
  const owners = owner ? ["--chown", `${owner.uid}:${owner.gid}`] : [];
  return feed(path, ["apply", ...place, ...owners], signal);
}

export interface IngestTarget {
  /** The store of contexts' files. */
  readonly objects: string;
  /** A new file (docs/protocols.md, "File indexes"). */
  readonly index: string;
  readonly signal: AbortSignal;
}

/** Its files become objects of the store, the rest is in the index. Throws keel's words. */
export async function ingestArchive(path: string, { objects, index, signal }: IngestTarget): Promise<void> {
  try {
    await feed(path, ["ingest", "--store", objects, "--index", index], signal);
  } catch (error) {
    await rm(index, { force: true });
    throw error;
  }
}

/** A body that keel reads from the connection of another process. */
export interface Upload {
  /** Where the connection is. */
  readonly at: UploadAt;
  /** keel has it: nobody else reads it now. Answers what had been received of the body, in its coding. */
  taken(): AsyncIterable<Uint8Array>;
  /** keel is done with it and has read so many bytes behind the body's end. */
  whole(rest: number): Promise<void>;
}

/** False: keel can't have the connection, of which nothing has been read. Throws keel's words. */
export async function ingestUpload(
  { at, taken, whole }: Upload,
  { objects, index, signal }: IngestTarget,
): Promise<boolean> {
  const connection = `${at.pid}:${at.fd}:${at.framing}`;
  const args = ["ingest", "--store", objects, "--index", index, "--connection", connection];
  const child = spawnGroup(keelPath(), args, ["pipe", "pipe", "pipe"]);
  const ended = archiveTaken(child, signal);
  ended.catch(() => undefined); // Told below.
  child.stdin!.on("error", () => undefined); // It has ended, which is told.
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const { value: first } = await lines.next();
  if (first !== "taken") {
    const refused = String(first ?? "").startsWith("refused ");
    await ended.catch((error: unknown) => {
      if (!refused) throw error;
    });
    return false;
  }
  for await (const piece of taken()) child.stdin!.write(piece);
  child.stdin!.end();
  await ended;
  const { value: last } = await lines.next();
  await whole(Number(String(last).split(" ")[1]));
  return true;
}

/** What keel leaves to others, by an archive's first bytes. */
const programs = [
  { magic: Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]), program: "xz", from: "xz-utils" },
  { magic: Buffer.from("BZh"), program: "bzip2", from: "bzip2" },
] as const;

/** Said when such a program fails: keel may have got a whole archive by then. */
const DAMAGED = "not unpacked";

async function feed(path: string, args: readonly string[], signal: AbortSignal): Promise<void> {
  await using file = await open(path, "r");
  const { buffer } = await file.read(Buffer.alloc(6), 0, 6, 0);
  const needed = programs.find(({ magic }) => buffer.subarray(0, magic.length).equals(magic))?.program;
  const keel = [keelPath(), ...args];
  const [command, ...rest] = needed
    ? ["/bin/sh", "-c", `{ ${needed} -d -c || echo ${DAMAGED} >&2; } | "$0" "$@"`, ...keel]
    : keel;
  await archiveTaken(spawnGroup(command!, rest, [file.fd, "ignore", "pipe"]), signal);
}

async function archiveTaken(child: ChildProcess, signal: AbortSignal): Promise<void> {
  const { code, said } = await outcomeOf(child, signal);
  if (code !== 0 || said.includes(`${DAMAGED}\n`)) throw archiveError(said);
}

function archiveError(said: string): HullError {
  const absent = programs.find(({ program }) => said.includes(`${program}: not found`));
  if (absent)
    return new HullError(
      "failed-precondition",
      `Error processing tar file: there is no ${absent.program} on the engine's machine to read it with: install the package ${absent.from} there`,
    );
  const spoken = programs.map(({ program }) => said.split("\n").find((line) => line.startsWith(`${program}: `)));
  const damage = spoken.find((line) => line !== undefined);
  if (damage) return new HullError("invalid-argument", `Error processing tar file: ${damage}`);
  const { code, message } = failureIn(said);
  return new HullError(code === "" ? "internal" : "invalid-argument", `Error processing tar file: ${message}`);
}
