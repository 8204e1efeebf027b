/** Where everything of hull-containerd lies: pure path arithmetic, nothing is made here. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { HullError } from "../platform/errors.ts";

/** A socket path holds 107 bytes and a NUL (unix(7)). */
const MAX_SOCKET_PATH = 107;

export interface Roots {
  readonly dataRoot: string;
  readonly execRoot: string;
  /** `<data-root>/containerd` */
  readonly containerd: string;
  readonly content: string;
  /** Directories waiting to be deleted; same file system as everything in the data root. */
  readonly trash: string;
  /** `<exec-root>/containerd/containerd.sock` */
  readonly socket: string;
  readonly bundles: string;
  readonly pauseSockets: string;
  readonly shimSockets: string;
}

/** Throws `invalid-argument` when sockets below the exec root would not fit. */
export function rootsOf(dataRoot: string, execRoot: string): Roots {
  const containerd = join(dataRoot, "containerd");
  const state = join(execRoot, "containerd");
  const roots = {
    dataRoot,
    execRoot,
    containerd,
    content: join(containerd, "content"),
    trash: join(containerd, "trash"),
    socket: join(state, "containerd.sock"),
    bundles: join(state, "io.containerd.runtime.v2.task"),
    pauseSockets: join(execRoot, "p"),
    shimSockets: join(execRoot, "s"),
  };
  const longest = `${roots.socket}.ttrpc`;
  if (Buffer.byteLength(longest) > MAX_SOCKET_PATH) {
    throw new HullError(
      "invalid-argument",
      `exec root ${execRoot} is too long: a socket path holds ${MAX_SOCKET_PATH} bytes`,
    );
  }
  return roots;
}

/** Bundle, shim and pause of one container. */
export interface TaskPaths {
  readonly bundle: string;
  readonly shimSocket: string;
  readonly pauseSocket: string;
}

export function taskPaths(roots: Roots, namespace: string, id: string): TaskPaths {
  const short = createHash("sha256").update(`${namespace}/${id}`).digest("hex").slice(0, 16);
  return {
    bundle: join(roots.bundles, namespace, id),
    shimSocket: join(roots.shimSockets, short),
    pauseSocket: join(roots.pauseSockets, short),
  };
}
