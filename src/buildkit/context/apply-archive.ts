/** Archives taken in by keel (`keel apply`, `keel ingest`): any compression it knows, no byte through the daemon. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { open } from "node:fs/promises";
import { createInterface } from "node:readline";
import { HullError } from "../../platform/errors.ts";
import { keelPath } from "../../platform/paths.ts";
import type { UploadAt } from "../api.ts";

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
export const ingestArchive = (path: string, { objects, index, signal }: IngestTarget): Promise<void> =>
  feed(path, ["ingest", "--store", objects, "--index", index], signal);

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
  const child = spawn(keelPath(), args, { stdio: ["pipe", "pipe", "pipe"] });
  const ended = watched(child, signal);
  ended.catch(() => undefined); // Told below.
  child.stdin.on("error", () => undefined); // It has ended, which is told.
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const { value: first } = await lines.next();
  if (first !== "taken") {
    const refused = String(first ?? "").startsWith("refused ");
    await ended.catch((error: unknown) => {
      if (!refused) throw error;
    });
    return false;
  }
  for await (const piece of taken()) child.stdin.write(piece);
  child.stdin.end();
  await ended;
  const { value: last } = await lines.next();
  await whole(Number(String(last).split(" ")[1]));
  return true;
}

async function feed(path: string, args: readonly string[], signal: AbortSignal): Promise<void> {
  await using file = await open(path, "r");
  await watched(spawn(keelPath(), args, { stdio: [file.fd, "ignore", "pipe"] }), signal);
}

/** Until it has ended well. Abort kills it. */
async function watched(child: ChildProcess, signal: AbortSignal): Promise<void> {
  const kill = () => void child.kill("SIGKILL");
  signal.addEventListener("abort", kill, { once: true });
  let said = "";
  child.stderr!.on("data", (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-4096);
  });
  const [code] = (await once(child, "close")) as [number | null];
  signal.removeEventListener("abort", kill);
  signal.throwIfAborted();
  if (code !== 0) throw archiveError(said);
}

/** keel's last line is JSON. */
function archiveError(said: string): HullError {
  const last = said.trim().split("\n").at(-1) ?? "";
  try {
    const { message } = JSON.parse(last) as { message?: string };
    return new HullError("invalid-argument", `Error processing tar file: ${message ?? last}`);
  } catch {
    return new HullError("internal", `Error processing tar file: keel said ${last}`);
  }
}
