/**
 * The way straight to a container's shim, for bytes and what belongs to them: hull-containerd is not in this path. Every call has a
 * deadline but the wait for an end.
 */
import type { Socket } from "node:net";
import { attachTo, ShimClient, socketName } from "../../keel/shim-client.ts";

export interface AttachWish {
  /** Empty: the container's first process. */
  readonly execId: string;
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** Without the 8-byte headers: terminals. */
  readonly raw: boolean;
}

export interface TerminalSize {
  readonly execId: string;
  readonly rows: number;
  readonly columns: number;
}

export class Shims {
  constructor(
    private readonly execRoot: string,
    private readonly namespace: string,
  ) {}

  /** Raw from here on: output towards us (framed unless raw), stdin from us, a half-close is its end. Paused until it is read. */
  attach(container: string, wish: AttachWish): Promise<Socket> {
    return attachTo(this.#path(container), wish);
  }

  async resize(container: string, size: TerminalSize): Promise<void> {
    const client = await ShimClient.open(this.#path(container));
    try {
      await client.resize(size);
    } finally {
      client.close();
    }
  }

  #path(container: string): string {
    return `${this.execRoot}/s/${socketName(this.namespace, container)}`;
  }
}
