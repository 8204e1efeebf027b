/** keel's roles that work on a stream: `keel apply` takes a tar on its standard input. One process per stream. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable, Writable } from "node:stream";
import { type ErrorCode, HullError } from "../platform/errors.ts";
import { keelPath } from "../platform/paths.ts";

export interface ApplyRequest {
  /** Arguments after `apply`. */
  readonly args: readonly string[];
  /** The tar, in any compression keel knows. */
  readonly body: AsyncIterable<Uint8Array>;
  /** Abort kills keel; what it wrote stays and is the caller's to delete. */
  readonly signal: AbortSignal;
}

/** Feeds the stream to `keel apply` and waits for its end. Throws with keel's own words. */
export async function applyTar({ args, body, signal }: ApplyRequest): Promise<void> {
  const child = spawn(keelPath(), ["apply", ...args], { stdio: ["pipe", "ignore", "pipe"] });
  const kill = () => void child.kill("SIGKILL");
  signal.addEventListener("abort", kill, { once: true });
  try {
    const [ended] = await Promise.all([exitOf(child), feed(child.stdin, body)]);
    signal.throwIfAborted();
    if (ended.code !== 0) throw keelError(ended);
  } catch (error) {
    kill();
    throw error;
  } finally {
    signal.removeEventListener("abort", kill);
  }
}

interface Ended {
  readonly code: number | null;
  readonly stderr: string;
}

async function exitOf(child: ChildProcessByStdio<Writable, null, Readable>): Promise<Ended> {
  let stderr = "";
  child.stderr.on("data", (chunk: Buffer) => {
    stderr = (stderr + chunk.toString()).slice(-64 * 1024);
  });
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stderr };
}

/** keel may end early (a malformed archive): its exit tells why, so a broken pipe here is no error. */
async function feed(stdin: Writable, body: AsyncIterable<Uint8Array>): Promise<void> {
  let broken = false;
  stdin.on("error", () => {
    broken = true;
  });
  for await (const chunk of body) {
    if (broken || stdin.destroyed) return;
    if (!stdin.write(chunk)) await Promise.race([once(stdin, "drain"), once(stdin, "close")]).catch(() => undefined);
  }
  stdin.end();
}

const codes: Readonly<Record<string, ErrorCode>> = {
  "not-found": "not-found",
  "read-only": "permission-denied",
  "not-a-directory": "invalid-argument",
  "bad-archive": "invalid-argument",
};

/** keel writes one line of JSON: {"code","message"}. */
function keelError({ code, stderr }: Ended): HullError {
  const last = stderr.trim().split("\n").at(-1) ?? "";
  try {
    const said = JSON.parse(last) as { code?: string; message?: string };
    return new HullError(codes[said.code ?? ""] ?? "internal", said.message ?? last, {
      facts: { keel: said.code ?? "" },
    });
  } catch {
    return new HullError("internal", `keel apply ended with ${code ?? "a signal"}: ${last}`);
  }
}
