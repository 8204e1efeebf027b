/** Starting and stopping hulld without an init system: `keel keep` holds it, its pid stands in the exec root. */
import { spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { HullError } from "../platform/errors.ts";
import { send } from "../platform/http-client.ts";
import { keelPath, roleInvocation } from "../platform/paths.ts";
import { parseHost } from "./engine-address.ts";
import type { Flag, FlagValues } from "./flags.ts";

const START_DEADLINE_MS = 20_000;
const STOP_DEADLINE_MS = 30_000;
const POLL_MS = 10;

export const engineFlags: readonly Flag[] = [
  { name: "data-root", kind: "string", help: "Root directory of persistent state", default: '"/var/lib/hull"' },
  { name: "exec-root", kind: "string", help: "Root directory for execution state files", default: '"/run/hull"' },
];

export interface EnginePlace {
  readonly dataRoot: string;
  readonly execRoot: string;
  readonly host: string;
}

export function enginePlace(flags: FlagValues, host: string | undefined): EnginePlace {
  const execRoot = flags.text("exec-root") ?? "/run/hull";
  const dataRoot = flags.text("data-root") ?? "/var/lib/hull";
  return { dataRoot, execRoot, host: host ?? `unix://${execRoot}/docker.sock` };
}

export async function isAnswering(host: string): Promise<boolean> {
  try {
    const response = await send(parseHost(host), { method: "GET", path: "/_ping" });
    await response.text();
    return response.ok;
  } catch {
    // Nothing listens, or it is being replaced: both mean "not yet".
    return false;
  }
}

const keepPidFile = (place: EnginePlace): string => join(place.execRoot, "keep.pid");

/** Starts hulld under `keel keep`, detached, and waits until its API answers. Throws with the end of its log otherwise. */
export async function startEngine(place: EnginePlace, options: readonly string[]): Promise<void> {
  const logPath = join(place.dataRoot, "logs", "hulld.stderr");
  mkdirSync(place.execRoot, { recursive: true, mode: 0o711 });
  mkdirSync(dirname(logPath), { recursive: true, mode: 0o710 });
  const log = openSync(logPath, "w", 0o600);
  const roots = ["--data-root", place.dataRoot, "--exec-root", place.execRoot, "--host", place.host];
  const hulld = roleInvocation("hulld");
  const child = spawn(keelPath(), ["keep", "--", hulld.file, ...hulld.args, ...roots, ...options], {
    cwd: "/",
    detached: true,
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  let ended: number | null | undefined;
  child.on("exit", (code) => {
    ended = code;
  });
  child.unref();
  writeFileSync(keepPidFile(place), `${child.pid}\n`);
  const answers = await poll(START_DEADLINE_MS, async () => ended !== undefined || (await isAnswering(place.host)));
  if (answers && ended === undefined) return;
  if (child.pid !== undefined && ended === undefined) process.kill(child.pid, "SIGTERM");
  const said = readFileSync(logPath, "utf8").trim().split("\n").slice(-10).join("\n");
  throw new HullError("unavailable", `hulld did not start:\n${said}\nIts log: ${logPath}`);
}

/** SIGTERM to the keeper (which passes it on) or, where hulld was started otherwise, to hulld. False when none runs. */
export async function stopEngine(place: EnginePlace): Promise<boolean> {
  const pids = [keepPidFile(place), join(place.execRoot, "hulld.pid")].flatMap(readLivePid);
  const target = pids[0];
  if (target === undefined) return false;
  process.kill(target, "SIGTERM");
  const gone = await poll(STOP_DEADLINE_MS, async () => pids.every((pid) => !isAlive(pid)));
  if (!gone)
    throw new HullError(
      "deadline-exceeded",
      `the engine (process ${target}) still runs ${STOP_DEADLINE_MS / 1000} s after SIGTERM`,
    );
  rmSync(keepPidFile(place), { force: true });
  return true;
}

function readLivePid(path: string): number[] {
  if (!existsSync(path)) return [];
  const pid = Number(readFileSync(path, "utf8").trim());
  return Number.isInteger(pid) && pid > 0 && isAlive(pid) && isOurs(pid) ? [pid] : [];
}

/** A recycled pid may belong to anybody: only a process with one of our names is ours. */
function isOurs(pid: number): boolean {
  try {
    return /^(keel|hulld|bun)/.test(readFileSync(`/proc/${pid}/comm`, "utf8"));
  } catch {
    // It ended in between.
    return false;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    // ESRCH or its /proc entry is gone.
    return false;
  }
}

async function poll(deadlineMs: number, isDone: () => Promise<boolean>): Promise<boolean> {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    if (await isDone()) return true;
    if (performance.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
