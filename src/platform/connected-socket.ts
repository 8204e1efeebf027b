/** A connected unix socket as a bare descriptor, to hand to a child. */
import { during, HullError } from "./errors.ts";

export interface ConnectedSocket extends Disposable {
  readonly fd: number;
}

/** Throws unavailable or not-found when nobody listens. Ours until disposed. */
export async function connectedSocket(path: string): Promise<ConnectedSocket> {
  // Loaded when it is needed: a short command must not pay for it.
  const { connect } = await import("node:net");
  const socket = connect(path);
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", (error) => reject(during(`connect to ${path}`, error)));
  });
  // Only the runtime knows the number behind a socket.
  const fd = (socket as unknown as { readonly _handle?: { readonly fd?: number } })._handle?.fd;
  if (fd === undefined || fd < 0) throw new HullError("internal", `connect to ${path}: the socket has no descriptor`);
  return { fd, [Symbol.dispose]: () => socket.destroy() };
}
