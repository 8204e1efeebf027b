/** A connected socket that another process reads for a while: it copies the descriptor, and we read nothing until it is done. */
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";

/** What is used of the runtime's own: only it knows the number behind a socket, and when it really stops reading. */
interface Handle {
  readonly fd?: number;
  pause?(): void;
  resume?(): void;
}

const handleOf = (socket: Socket): Handle => (socket as unknown as { readonly _handle?: Handle })._handle ?? {};

/** Undefined for one that has none: closed, or whose bytes only this process can decrypt. */
export function descriptorOf(socket: Socket): number | undefined {
  if (socket instanceof TLSSocket || socket.destroyed) return undefined;
  const { fd } = handleOf(socket);
  return fd === undefined || fd < 0 ? undefined : fd;
}

/** What has been received by then has been given to the listeners of `data`; afterwards nothing is received. */
export async function stopReading(socket: Socket): Promise<void> {
  for (let turns = 0; turns < 2; turns++) {
    socket.pause();
    // What is read hereby goes to the listeners. It makes the runtime go on: so this comes first.
    while (socket.readableLength > 0) socket.read();
    handleOf(socket).pause?.();
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  while (socket.readableLength > 0) socket.read();
  handleOf(socket).pause?.();
}

export function readOn(socket: Socket): void {
  handleOf(socket).resume?.();
  socket.resume();
}
