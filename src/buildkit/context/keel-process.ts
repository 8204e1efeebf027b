/** Commands of keel that work as processes of their own: nothing of their work passes through the daemon. */
import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { once } from "node:events";

/** keel's last words. */
export class KeelFailure extends Error {
  constructor(
    message: string,
    /** "bad-archive", ... (docs/protocols.md); "" when it said nothing that can be read. */
    readonly code: string,
  ) {
    super(message);
  }
}

/** In a process group of its own, with what it may have beside it. */
export const spawnGroup = (command: string, args: readonly string[], stdio: SpawnOptions["stdio"]): ChildProcess =>
  spawn(command, args, { stdio, detached: true });

export interface Outcome {
  /** Null: a signal ended it. */
  readonly code: number | null;
  /** The end of its stderr. */
  readonly said: string;
}

/** Resolves when a group of `spawnGroup` has ended. Abort kills it, and rejects then. */
export async function outcomeOf(child: ChildProcess, signal: AbortSignal): Promise<Outcome> {
  const kill = () => endGroup(child);
  signal.addEventListener("abort", kill, { once: true });
  if (signal.aborted) kill();
  let said = "";
  child.stderr!.on("data", (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-4096);
  });
  const [code] = (await once(child, "close")) as [number | null];
  signal.removeEventListener("abort", kill);
  signal.throwIfAborted();
  return { code, said };
}

function endGroup(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** Of what keel said: its last line is JSON. */
export function failureIn(said: string): KeelFailure {
  const last = said.trim().split("\n").at(-1) ?? "";
  try {
    const { message, code } = JSON.parse(last) as { message?: string; code?: string };
    return new KeelFailure(message ?? last, code ?? "");
  } catch {
    return new KeelFailure(`keel said ${last}`, "");
  }
}
