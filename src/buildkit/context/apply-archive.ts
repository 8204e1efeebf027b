/** Archives taken in by keel (`keel apply`, `keel ingest`): any compression it knows, no byte through the daemon. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { open } from "node:fs/promises";
import { HullError } from "../../platform/errors.ts";
import { keelPath } from "../../platform/paths.ts";

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

async function feed(path: string, args: readonly string[], signal: AbortSignal): Promise<void> {
  await using file = await open(path, "r");
  const child = spawn(keelPath(), args, { stdio: [file.fd, "ignore", "pipe"] });
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
