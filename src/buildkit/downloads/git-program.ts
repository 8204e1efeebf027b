/**
 * The host's git as a child: no configuration but ours, no prompts, no hooks, and only the protocols that a command is given. It runs in a process group
 * of its own, so that what it starts (ssh, helpers) ends with it.
 */
import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { HullError } from "../../platform/errors.ts";
import type { Proxies } from "./proxies.ts";

export interface GitHome {
  /** An empty directory that goes with the work. */
  readonly directory: string;
  /** Keys of ssh servers, which are believed the first time. */
  readonly knownHosts: string;
  readonly proxies: Proxies;
  /** Of the client's agent. */
  readonly agent: string | undefined;
  /** Sent to the servers below `scope` ("https://host/"). */
  readonly authorization: { readonly scope: string; readonly header: string } | undefined;
}

export interface GitCommand {
  readonly args: readonly string[];
  /** Otherwise the home's directory. */
  readonly cwd?: string;
  /** Remotes may be spoken to by http, https, git and ssh; "local": the paths of repositories here alone. */
  readonly reach: "remotes" | "local";
  readonly signal: AbortSignal;
  /** Nothing was said for so long: it is given up. */
  readonly stallMs: number;
}

/** What git ended with: it said why. */
export class GitFailure extends Error {
  constructor(
    readonly said: string,
    readonly exitCode: number,
  ) {
    super(said);
  }
}

const settings: readonly (readonly [section: string, name: string, value: string])[] = [
  ["core", "hooksPath", "/dev/null"],
  ["core", "fsmonitor", "false"],
  ["core", "askPass", ""],
  ["core", "logAllRefUpdates", "false"],
  ["credential", "helper", ""],
  ["safe", "directory", "*"],
  ["gc", "auto", "0"],
  ["maintenance", "auto", "false"],
  ["init", "defaultBranch", "master"],
  ["advice", "detachedHead", "false"],
  ["transfer", "bundleURI", "false"],
];

const quoted = (text: string): string => `"${text.replace(/[\\"]/g, "\\$&").replace(/\n/g, "\\n")}"`;

/** A program's configuration is a file of its own: on the command line others would see what it has of secrets. */
export function prepareHome({ directory, authorization }: GitHome): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const lines = settings.map(([section, name, value]) => `[${section}]\n\t${name} = ${quoted(value)}\n`);
  if (authorization)
    lines.push(`[http ${quoted(authorization.scope)}]\n\textraHeader = ${quoted(authorization.header)}\n`);
  writeFileSync(join(directory, "gitconfig"), lines.join(""), { mode: 0o600 });
}

const ssh = (knownHosts: string): string =>
  `ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=accept-new -o ConnectTimeout=30 -o ServerAliveInterval=20 -o UserKnownHostsFile='${knownHosts}'`;

function environment({ directory, knownHosts, proxies, agent }: GitHome, reach: GitCommand["reach"]) {
  return {
    PATH: process.env.PATH ?? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    HOME: directory,
    LC_ALL: "C",
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: join(directory, "gitconfig"),
    GIT_ATTR_NOSYSTEM: "1",
    GIT_TERMINAL_PROMPT: "0",
    GIT_ALLOW_PROTOCOL: reach === "local" ? "file" : "http:https:git:ssh",
    GIT_SSH_COMMAND: ssh(knownHosts),
    ...(agent !== undefined && { SSH_AUTH_SOCK: agent }),
    ...Object.fromEntries(Object.entries(proxies).map(([name, value]) => [name.toLowerCase(), value])),
  };
}

const MOST_OUTPUT_BYTES = 16 * 1024 * 1024;
const MOST_SAID_BYTES = 8 * 1024;
const NOT_FOUND = 127;

/** Its output. Throws GitFailure, deadline-exceeded, and failed-precondition where there is no git. */
export async function runGit(home: GitHome, command: GitCommand): Promise<string> {
  const { args, cwd = home.directory, reach, signal, stallMs } = command;
  signal.throwIfAborted();
  // Modes of a checkout are the mask's.
  const child = spawn("/bin/sh", ["-c", 'umask 022; exec git "$@"', "git", ...args], {
    cwd,
    env: environment(home, reach),
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  let [stalled, said, bytes] = [false, "", 0];
  const output: Buffer[] = [];
  const kill = (): void => endGroup(child.pid);
  const patience = setTimeout(() => {
    stalled = true;
    kill();
  }, stallMs);
  child.stdout.on("data", (data: Buffer) => {
    patience.refresh();
    bytes += data.length;
    if (bytes > MOST_OUTPUT_BYTES) kill();
    else output.push(data);
  });
  child.stderr.on("data", (data: Buffer) => {
    patience.refresh();
    said = (said + data.toString()).slice(-MOST_SAID_BYTES);
  });
  signal.addEventListener("abort", kill, { once: true });
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  child.once("error", reject).once("close", (code) => resolve(code ?? 128));
  try {
    const code = await promise;
    signal.throwIfAborted();
    if (stalled) throw new HullError("deadline-exceeded", `nothing came for ${stallMs / 1000} seconds`);
    if (bytes > MOST_OUTPUT_BYTES) throw new HullError("resource-exhausted", "git's answer is too large");
    if (code === NOT_FOUND && /git: not found/.test(said)) throw noGit();
    if (code !== 0) throw new GitFailure(lastLines(said), code);
    return Buffer.concat(output).toString();
  } finally {
    clearTimeout(patience);
    signal.removeEventListener("abort", kill);
  }
}

const noGit = (): HullError =>
  new HullError(
    "failed-precondition",
    "there is no git on the engine's machine, and repositories are fetched by it: install the package git there",
  );

/** Without its progress, which overwrites itself. */
const lastLines = (said: string): string =>
  said
    .split("\n")
    .map((line) => line.slice(line.lastIndexOf("\r") + 1).trim())
    .filter((line) => line !== "" && !/^(remote: )?(Enumerating|Counting|Compressing|Receiving|Resolving) /.test(line))
    .slice(-6)
    .join("\n");

function endGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
