/**
 * Joins a client's raw connection with a shim's: bytes both ways, each side at the pace of the slower one, half-closes passed on.
 * Lifecycle: runs until the process's output has ended (the client gets its end), the client has gone, or the detach keys were typed.
 */
import type { Socket } from "node:net";
import type { RawConnection } from "../../http/response.ts";
import { DetachScanner } from "./detach-keys.ts";

export interface BridgeOptions {
  readonly stdin: boolean;
  /** Only terminals can be detached from. */
  readonly detachKeys: readonly number[] | undefined;
  /** Before the client is told the end: what it will ask next must be known. */
  readonly beforeEnd?: () => Promise<void>;
}

export type BridgeEnd = "output-ended" | "client-gone" | "detached";

export function bridge(client: RawConnection, shim: Socket, options: BridgeOptions): Promise<BridgeEnd> {
  return new Promise((resolve) => {
    const { socket } = client;
    let finished = false;
    const finish = (end: BridgeEnd): void => {
      if (finished) return;
      finished = true;
      shim.destroy();
      if (end === "client-gone") socket.destroy();
      else socket.end();
      resolve(end);
    };
    shim.on("error", () => finish("output-ended"));
    socket.on("error", () => finish("client-gone"));
    socket.on("close", () => finish("client-gone"));
    passOutput(
      shim,
      socket,
      () => void (options.beforeEnd?.() ?? Promise.resolve()).finally(() => finish("output-ended")),
    );
    passInput(client, shim, { ...options, onDetach: () => finish("detached") });
    if (socket.destroyed) finish("client-gone");
  });
}

function passOutput(shim: Socket, socket: Socket, onEnd: () => void): void {
  shim.on("data", (chunk: Buffer) => {
    if (!socket.write(chunk)) shim.pause();
  });
  socket.on("drain", () => shim.resume());
  shim.once("end", onEnd);
  shim.once("close", onEnd);
  // A process that ended at once: a socket with nothing to read tells its end even while it is paused, before anyone listened.
  if (shim.readableEnded || shim.destroyed) onEnd();
  else shim.resume();
}

function passInput(
  client: RawConnection,
  shim: Socket,
  options: BridgeOptions & { readonly onDetach: () => void },
): void {
  const { socket } = client;
  const scanner = options.detachKeys && new DetachScanner(options.detachKeys);
  const take = (chunk: Buffer): void => {
    if (!options.stdin || chunk.length === 0 || !shim.writable) return;
    const { pass, detached } = scanner ? scanner.push(chunk) : { pass: chunk, detached: false };
    if (pass.length > 0 && !shim.write(pass)) socket.pause();
    if (detached) options.onDetach();
  };
  const end = (): void => {
    if (options.stdin && shim.writable) shim.end();
  };
  shim.on("drain", () => socket.resume());
  socket.on("data", take);
  socket.once("end", end);
  take(client.head);
  if (client.ended || socket.readableEnded) end();
  else socket.resume();
}
