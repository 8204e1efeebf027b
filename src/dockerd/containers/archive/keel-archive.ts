/**
 * keel's stream roles over a container's file system: `keel stat`, `keel archive` (a tar out), `keel apply` (a tar in). A running container is
 * entered (its mounts, its root); a stopped one is mounted, with its binds and volumes on top, in a namespace of keel's own.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { type ErrorCode, HullError } from "../../../platform/errors.ts";
import type { Container } from "../container.ts";
import type { ContainerDeps } from "../deps.ts";
import type { ContainerRecord } from "../record.ts";
import { isActive } from "../state.ts";
import type { PathStat } from "./stat.ts";

/** Arguments that say where; disposing ends the mount of a stopped container. */
export interface ArchiveRoot extends AsyncDisposable {
  readonly args: readonly string[];
}

export async function openRoot(deps: ContainerDeps, container: Container, purpose: string): Promise<ArchiveRoot> {
  const { record } = container;
  if (isActive(record.state))
    return { args: ["--pid", String(record.state.pid)], [Symbol.asyncDispose]: async () => undefined };
  const mounted = await deps.tasks.mounted(record.id, record.driver, purpose);
  const readOnly = record.hostConfig.ReadonlyRootfs ? ["--read-only"] : [];
  return {
    args: ["--root", mounted.path, ...readOnly, ...bindsOf(record)],
    [Symbol.asyncDispose]: () => mounted[Symbol.asyncDispose](),
  };
}

/** Parents before children. tmpfs mounts of a stopped container hold nothing. */
function bindsOf({ mounts }: ContainerRecord): string[] {
  const sorted = mounts
    .filter(({ Type }) => Type !== "tmpfs")
    .sort((a, b) => a.Destination.length - b.Destination.length);
  return sorted.flatMap(({ Source, Destination, RW }) => ["--bind", `${Source}:${Destination}${RW ? "" : ":ro"}`]);
}

/** The root file system alone, without what is mounted into it: for export. */
export async function openRootfs(deps: ContainerDeps, container: Container, purpose: string): Promise<ArchiveRoot> {
  const { record } = container;
  const mounted = await deps.tasks.mounted(record.id, record.driver, purpose);
  return { args: ["--root", mounted.path], [Symbol.asyncDispose]: () => mounted[Symbol.asyncDispose]() };
}

interface KeelRun {
  readonly keelPath: string;
  readonly args: readonly string[];
  readonly signal: AbortSignal;
}

/** A role's standard output, piece by piece at the reader's pace. Throws with keel's own words when it fails. */
export async function* keelOutput({ keelPath, args, signal }: KeelRun): AsyncGenerator<Buffer> {
  const child = spawn(keelPath, [...args], { stdio: ["ignore", "pipe", "pipe"] });
  const kill = () => void child.kill("SIGKILL");
  signal.addEventListener("abort", kill, { once: true });
  const stderr: Buffer[] = [];
  child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
  const closed = once(child, "close") as Promise<[number | null]>;
  closed.catch(() => undefined); // Awaited below.
  try {
    for await (const chunk of child.stdout) yield chunk as Buffer;
    const [code] = await closed;
    signal.throwIfAborted();
    if (code !== 0) throw keelError(Buffer.concat(stderr).toString(), code);
  } finally {
    signal.removeEventListener("abort", kill);
    kill();
  }
}

const codes: Readonly<Record<string, ErrorCode>> = {
  "not-found": "not-found",
  "read-only": "permission-denied",
  "permission-denied": "permission-denied",
  "not-a-directory": "invalid-argument",
  "is-a-directory": "invalid-argument",
  "bad-archive": "invalid-argument",
  "already-exists": "invalid-argument",
  "no-space": "resource-exhausted",
};

function keelError(stderr: string, code: number | null): HullError {
  const last = stderr.trim().split("\n").at(-1) ?? "";
  try {
    const said = JSON.parse(last) as { readonly code: string; readonly message: string };
    return new HullError(codes[said.code] ?? "internal", said.message, { facts: { keel: said.code } });
  } catch {
    return new HullError("internal", `keel ended with ${code ?? "a signal"}: ${last}`);
  }
}

interface KeelStat {
  readonly name: string;
  readonly size: number;
  readonly mode: number;
  readonly mtime: string;
  readonly linkTarget: string;
}

/** What a path is, links not followed at its end. */
export async function statPath(
  keelPath: string,
  root: ArchiveRoot,
  asked: { readonly path: string; readonly signal: AbortSignal },
): Promise<PathStat> {
  const parts: Buffer[] = [];
  for await (const part of keelOutput({
    keelPath,
    args: ["stat", ...root.args, "--path", asked.path],
    signal: asked.signal,
  }))
    parts.push(part);
  return JSON.parse(Buffer.concat(parts).toString()) as KeelStat;
}
