/**
 * Makes the sources of a command's mounts ready: cache directories are leased, secrets and agents asked for, views of several directories planned.
 *
 * Lifecycle: `prepareMounts` -> the command runs -> disposal gives everything back. A failure has given it back already.
 */
import { Buffer } from "node:buffer";
import { chmodSync, chownSync, mkdirSync, statSync, symlinkSync } from "node:fs";
import type { Operation } from "../../keel/plan.ts";
import { HullError } from "../../platform/errors.ts";
import type { RunMount, RunVertex } from "../graph/vertex.ts";
import type { ReadyMount, Secrets } from "../solver/ports.ts";
import { type CacheLease, type CacheMounts, keyOf } from "./cache-mounts.ts";
import { mergedView } from "./merged-view.ts";
import { type MemoryFile, memoryFiles, type PlannedMount } from "./mount-plan.ts";

export interface MountRequest {
  readonly vertex: RunVertex;
  readonly mounts: readonly ReadyMount[];
  readonly secrets: Secrets;
  readonly caches: CacheMounts;
  /** Empty, for mount points. */
  readonly directory: string;
  /** For what is written to a writable bind and thrown away: on the disk of the layers. Made when it is needed. */
  readonly scratch: string;
  /** Kernels that take overlay's directories as names in one page. */
  readonly needsShortNames: boolean;
  readonly signal: AbortSignal;
}

export interface PreparedMounts extends AsyncDisposable {
  readonly ground: readonly Operation[];
  readonly mounts: readonly PlannedMount[];
  readonly env: readonly string[];
}

interface Gathered {
  readonly ground: Operation[];
  readonly mounts: PlannedMount[];
  readonly env: string[];
  readonly files: MemoryFile[];
  /** By key: a directory that one command mounts twice is leased once. */
  readonly leases: Map<string, CacheLease>;
  readonly held: AsyncDisposableStack;
}

type Mount<K extends RunMount["kind"]> = Extract<RunMount, { readonly kind: K }>;

export async function prepareMounts(request: MountRequest): Promise<PreparedMounts> {
  await using held = new AsyncDisposableStack();
  const gathered: Gathered = { ground: [], mounts: [], env: [], files: [], leases: new Map(), held };
  // One after the other, locked caches in the order of their keys: two commands never wait for each other.
  for (const [i, ready] of inOrder(request.mounts)) await prepareOne(request, gathered, { ...ready, i });
  const secrets = memoryFiles(directoryOf(request, "secrets", gathered.files), gathered.files, {
    executable: false,
    cause: "secrets",
  });
  const pipes = pipesOf(request);
  const moved = held.move();
  return {
    ground: [...gathered.ground, ...secrets, ...pipes.ground],
    mounts: [...gathered.mounts, ...pipes.mounts],
    env: gathered.env,
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  };
}

function inOrder(mounts: readonly ReadyMount[]): readonly (readonly [number, ReadyMount])[] {
  const id = ({ mount }: ReadyMount): string => (mount.kind === "cache" ? mount.id : "");
  return [...mounts.entries()].sort(([, a], [, b]) => (id(a) < id(b) ? -1 : id(a) > id(b) ? 1 : 0));
}

type Numbered = ReadyMount & { readonly i: number };

function prepareOne(request: MountRequest, gathered: Gathered, { mount, directories, i }: Numbered): Promise<void> {
  switch (mount.kind) {
    case "bind":
      return bind(request, gathered, { mount, directories, i });
    case "cache":
      return cache(request, gathered, { mount, directories });
    case "volume":
      return volume(request, gathered, { target: mount.target, directories, i });
    case "tmpfs":
      gathered.mounts.push(mount);
      return Promise.resolve();
    case "secret":
      return secret(request, gathered, { mount, i });
    case "ssh":
      return agent(request, gathered, mount);
  }
}

async function bind(
  request: MountRequest,
  { ground, mounts }: Gathered,
  {
    mount,
    directories,
    i,
  }: { readonly mount: Mount<"bind">; readonly directories: readonly string[]; readonly i: number },
): Promise<void> {
  const at = `${request.directory}/view${i}`;
  mkdirSync(at);
  const view = mergedView({
    at,
    directories,
    cause: `--mount target=${mount.target}`,
    ...(mount.writable && { writable: discarded(`${request.scratch}/${i}`, directories[0]) }),
    ...(request.needsShortNames && { links: shortNames(`${request.directory}/links${i}`, directories) }),
  });
  ground.push(...view.operations);
  const { source, target, writable } = mount;
  mounts.push({ kind: "inside", root: view.path, path: source || "/", target, readOnly: !writable });
}

interface Volume {
  readonly target: string;
  readonly directories: readonly string[];
  readonly i: number;
}

/** A copy of what the image has there, or an empty directory: for this command alone. */
async function volume(request: MountRequest, gathered: Gathered, { target, directories, i }: Volume): Promise<void> {
  if (directories.length > 0) {
    const from = request.vertex.base;
    const mount: Mount<"bind"> = { kind: "bind", from, source: target, target, writable: true };
    return bind(request, gathered, { mount, directories, i });
  }
  const path = `${request.scratch}/${i}`;
  mkdirSync(path, { recursive: true });
  chmodSync(path, 0o755);
  gathered.mounts.push({ kind: "own", path, target, readOnly: false });
}

/** With the attributes of the directory that it covers. */
function discarded(directory: string, covered: string | undefined): { readonly upper: string; readonly work: string } {
  const [upper, work] = [`${directory}/upper`, `${directory}/work`];
  for (const path of [upper, work]) mkdirSync(path, { recursive: true, mode: 0o700 });
  const like = covered === undefined ? { uid: 0, gid: 0, mode: 0o755 } : statSync(covered);
  chownSync(upper, like.uid, like.gid);
  chmodSync(upper, like.mode & 0o7777);
  return { upper, work };
}

/** Links "0", "1", ... to the directories. */
export function shortNames(at: string, directories: readonly string[]): string {
  mkdirSync(at);
  for (const [i, directory] of directories.entries()) symlinkSync(directory, `${at}/${i}`);
  return at;
}

async function cache(
  { vertex, caches, signal }: MountRequest,
  { mounts, held, leases }: Gathered,
  { mount, directories }: { readonly mount: Mount<"cache">; readonly directories: readonly string[] },
): Promise<void> {
  const description = `cached mount ${mount.target} from exec ${vertex.argv.join(" ")}`;
  const key = keyOf({ mount, directories });
  const lease = leases.get(key) ?? (await caches.acquire({ mount, directories, description, signal }));
  if (!leases.has(key)) held.defer(async () => lease.release());
  leases.set(key, lease);
  mounts.push({ kind: "own", path: lease.path, target: mount.target, readOnly: mount.readOnly });
}

async function secret(
  { secrets, directory, signal }: MountRequest,
  { mounts, files, env }: Gathered,
  { mount, i }: { readonly mount: Mount<"secret">; readonly i: number },
): Promise<void> {
  const { id, target, required, mode, uid, gid } = mount;
  const data = await secrets.secret(id, signal);
  if (data === undefined) {
    if (required) throw new HullError("not-found", `secret ${id}: not found`);
    return;
  }
  if (mount.env !== "") env.push(`${mount.env}=${data.toString()}`);
  if (target === "") return;
  const name = `${i}`;
  files.push({ name, data, mode, uid, gid });
  mounts.push({ kind: "own", path: `${directory}/secrets/${name}`, target, readOnly: true });
}

const AGENT_VARIABLE = "SSH_AUTH_SOCK";

async function agent(
  { vertex, secrets, signal }: MountRequest,
  gathered: Gathered,
  mount: Mount<"ssh">,
): Promise<void> {
  const { id, target, required, mode, uid, gid } = mount;
  const found = await secrets.sshAgent(id, signal);
  if (found === undefined) {
    if (required) throw new HullError("not-found", `no SSH key "${id}" forwarded from the client`);
    return;
  }
  gathered.held.use(found);
  chownSync(found.socketPath, uid, gid);
  chmodSync(found.socketPath, mode);
  const isNamed = [...vertex.env, ...gathered.env].some((variable) => variable.startsWith(`${AGENT_VARIABLE}=`));
  if (!isNamed) gathered.env.push(`${AGENT_VARIABLE}=${target}`);
  gathered.mounts.push({ kind: "own", path: found.socketPath, target, readOnly: false });
}

/** Here-documents as executable files below /dev/pipes. */
function pipesOf(request: MountRequest): {
  readonly ground: readonly Operation[];
  readonly mounts: readonly PlannedMount[];
} {
  const { pipes } = request.vertex;
  if (pipes.length === 0) return { ground: [], mounts: [] };
  const files = pipes.map(({ name, data }) => ({ name, data: Buffer.from(data), mode: 0o755, uid: 0, gid: 0 }));
  const path = directoryOf(request, "pipes", files);
  return {
    ground: memoryFiles(path, files, { executable: true, cause: "here-documents" }),
    mounts: [{ kind: "own", path, target: "/dev/pipes", readOnly: true }],
  };
}

function directoryOf({ directory }: MountRequest, name: string, files: readonly MemoryFile[]): string {
  const path = `${directory}/${name}`;
  if (files.length > 0) mkdirSync(path);
  return path;
}
