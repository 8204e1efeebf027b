/** Archives unpacked by `keel apply`: any compression it knows, confined to their directory, no byte through the daemon. */
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

/** Throws keel's words. */
export async function applyArchive(path: string, { place, owner, signal }: ApplyTarget): Promise<void> {
  await using file = await open(path, "r");
  const owners = owner ? ["--chown", `${owner.uid}:${owner.gid}`] : [];
  const child = spawn(keelPath(), ["apply", ...place, ...owners], {
    stdio: [file.fd, "ignore", "pipe"],
  });
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
