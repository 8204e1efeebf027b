/** Starts a daemon of ours detached: own session, no terminal, its own log; what it says when it crashes goes to a small file. */
import { spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { type RoleName, roleInvocation } from "../../platform/paths.ts";

export interface SpawnedDaemon {
  readonly pid: number;
  /** Undefined while it runs; -1 after a signal. */
  exitCode(): number | undefined;
  /** The end of its crash output. */
  lastWords(): string;
}

export interface SpawnRequest {
  readonly name: RoleName;
  readonly args: readonly string[];
  readonly logDirectory: string;
}

const MAX_OUTPUT_BYTES = 1024 * 1024;

export function spawnDaemon({ name, args, logDirectory }: SpawnRequest): SpawnedDaemon {
  mkdirSync(logDirectory, { recursive: true, mode: 0o710 });
  const path = join(logDirectory, `${name}.stderr`);
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  const begin = size > MAX_OUTPUT_BYTES ? 0 : size;
  const output = openSync(path, begin === 0 ? "w" : "a", 0o640);
  const invocation = roleInvocation(name);
  const child = spawn(invocation.file, [...invocation.args, ...args], {
    cwd: "/",
    detached: true,
    stdio: ["ignore", output, output],
    // Its log goes to its rotated file only: stderr here is for what never reached the log.
    env: { ...environment(), HULL_LOG: "file" },
  });
  closeSync(output);
  let ended: number | undefined;
  child.on("exit", (code) => {
    ended = code ?? -1;
  });
  child.on("error", () => {
    ended = -1;
  });
  child.unref();
  return {
    pid: child.pid ?? 0,
    exitCode: () => ended,
    lastWords: () =>
      tailOf(path, begin) ||
      tailOf(join(logDirectory, `${name}.log`), 0)
        .split("\n")
        .at(-1)!,
  };
}

const LAST_WORDS_BYTES = 2000;

function tailOf(path: string, begin: number): string {
  if (!existsSync(path)) return "";
  return readFileSync(path).subarray(begin).subarray(-LAST_WORDS_BYTES).toString().trim();
}

/** What systemd gave to hulld alone stays here. */
function environment(): NodeJS.ProcessEnv {
  const { NOTIFY_SOCKET: _notify, LISTEN_FDS: _fds, LISTEN_PID: _pid, LISTEN_FDNAMES: _names, ...rest } = process.env;
  return rest;
}
