/**
 * A listening unix socket that keeps its file. It is bound under a temporary name and renamed, so that a client never meets a half-made
 * socket; when the file is deleted or replaced by something that is not ours, a new one is there within a second.
 *
 * Lifecycle: `listenUnix` resolves when the file answers; `close` stops accepting and removes the file only when it still
 * is ours; connections go on until they end. Throws `invalid-argument` for a path that the kernel cannot hold (107 bytes).
 */
import { randomBytes } from "node:crypto";
import { chmodSync, chownSync, mkdirSync, renameSync, statSync, unlinkSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { dirname, join } from "node:path";
import { during, HullError } from "./errors.ts";

export interface UnixListenerOptions {
  readonly path: string;
  readonly onConnection: (socket: Socket) => void;
  /** Default 0600. */
  readonly mode?: number;
  /** Group id of the file. */
  readonly group?: number;
  readonly allowHalfOpen?: boolean;
  /** Called when the file had to be made again, or could not be (then with the error; it is tried again). */
  readonly onRecreated?: (error?: unknown) => void;
}

export interface UnixListener {
  readonly path: string;
  close(): Promise<void>;
}

const MAX_SOCKET_PATH_BYTES = 107;
const CHECK_INTERVAL_MS = 250;

interface Bound {
  readonly server: Server;
  readonly inode: number;
  readonly device: number;
}

export async function listenUnix(options: UnixListenerOptions): Promise<UnixListener> {
  const { path } = options;
  let bound = await bind(options);
  let closed = false;
  let busy = false;
  const check = async (): Promise<void> => {
    if (busy || closed || isOurs(path, bound)) return;
    busy = true;
    try {
      const renewed = await bind(options);
      bound.server.close();
      bound = renewed;
      // Closed in the meantime: what has just been made goes too.
      if (closed) await release(path, bound);
      else options.onRecreated?.();
    } catch (error) {
      options.onRecreated?.(error);
    } finally {
      busy = false;
    }
  };
  const timer = setInterval(() => void check(), CHECK_INTERVAL_MS);
  return {
    path,
    close: async () => {
      closed = true;
      clearInterval(timer);
      await release(path, bound);
    },
  };
}

async function bind(options: UnixListenerOptions): Promise<Bound> {
  const { path } = options;
  const temporary = join(dirname(path), `.${randomBytes(3).toString("hex")}`);
  if (Math.max(Buffer.byteLength(path), Buffer.byteLength(temporary)) > MAX_SOCKET_PATH_BYTES) {
    throw new HullError("invalid-argument", `socket path ${path} is longer than ${MAX_SOCKET_PATH_BYTES} bytes`);
  }
  mkdirSync(dirname(path), { recursive: true, mode: 0o711 });
  const server = createServer({ allowHalfOpen: options.allowHalfOpen ?? false }, options.onConnection);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ path: temporary }, resolve);
    });
    chmodSync(temporary, options.mode ?? 0o600);
    if (options.group !== undefined) chownSync(temporary, 0, options.group);
    const { ino, dev } = statSync(temporary);
    renameSync(temporary, path);
    server.on("error", () => {});
    return { server, inode: ino, device: dev };
  } catch (error) {
    server.close();
    throw during(`listen on ${path}`, error);
  }
}

function isOurs(path: string, bound: Bound): boolean {
  const found = statSync(path, { throwIfNoEntry: false });
  return found !== undefined && found.ino === bound.inode && found.dev === bound.device;
}

async function release(path: string, bound: Bound): Promise<void> {
  if (isOurs(path, bound)) unlinkSync(path);
  // Waiting for the callback would wait for every connection.
  bound.server.close();
}
