/**
 * A connected stream socket as bytes, over the runtime's own sockets: they cost a command 0.3 ms of its start where `node:net` costs 7.
 *
 * Lifecycle: `ByteStream.open` connects; write and read until `end` (our half: what the peer still sends is read) or `dispose`
 * (both halves, at once). The peer's end is the end of the iteration; a broken connection is its failure.
 */
import { HullError } from "./errors.ts";

/** What is used of Bun's API. */
declare const Bun: {
  connect(options: object): Promise<RuntimeSocket>;
};

interface RuntimeSocket {
  /** How many bytes the kernel took; -1 once closed. */
  write(bytes: Uint8Array): number;
  shutdown(): void;
  end(): void;
  terminate(): void;
  pause(): void;
  resume(): void;
  ref(): void;
  unref(): void;
}

export type Endpoint =
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "tcp"; readonly host: string; readonly port: number; readonly tls?: TlsFiles };

/** PEM texts. */
export interface TlsFiles {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly verify: boolean;
}

/** Received bytes that nobody has asked for yet; more than these and the peer waits. */
const READ_AHEAD_BYTES = 1024 * 1024;

export class ByteStream implements AsyncIterable<Uint8Array>, Disposable {
  #socket!: RuntimeSocket;
  readonly #received: Uint8Array[] = [];
  #receivedBytes = 0;
  #paused = false;
  #ended = false;
  #failure: Error | undefined;
  #wakeReader: () => void = () => {};
  #wakeWriter: () => void = () => {};

  private constructor() {}

  /** Throws unavailable when nobody answers. */
  static async open(endpoint: Endpoint): Promise<ByteStream> {
    const stream = new ByteStream();
    const target =
      endpoint.kind === "unix"
        ? { unix: endpoint.path }
        : { hostname: endpoint.host, port: endpoint.port, ...(endpoint.tls && { tls: tlsOptions(endpoint.tls) }) };
    try {
      stream.#socket = await Bun.connect({ ...target, allowHalfOpen: true, socket: stream.#handlers() });
    } catch (error) {
      throw new HullError("unavailable", messageOf(error), { cause: error });
    }
    return stream;
  }

  #handlers() {
    return {
      binaryType: "uint8array",
      data: (_socket: RuntimeSocket, bytes: Uint8Array) => this.#take(bytes),
      drain: () => this.#wakeWriter(),
      end: () => this.#finish(undefined),
      close: (_socket: RuntimeSocket, error?: Error) => this.#finish(error),
      error: (_socket: RuntimeSocket, error: Error) => this.#finish(error),
      // A handshake that failed is told here alone.
      handshake: (socket: RuntimeSocket, success: boolean, error: Error | null) => {
        if (success) return;
        this.#finish(error ?? new Error("the TLS handshake failed"));
        socket.terminate();
      },
    };
  }

  /** False once the peer has ended, or the connection is broken. */
  get isOpen(): boolean {
    return !this.#ended;
  }

  /** Resolves when the kernel has all of it. Throws unavailable when the connection is gone. */
  async write(bytes: Uint8Array): Promise<void> {
    for (let rest = bytes; ; ) {
      const written = this.#socket.write(rest);
      if (written < 0 || this.#failure) throw this.#gone();
      rest = rest.subarray(written);
      if (rest.length === 0) return;
      await new Promise<void>((resolve) => {
        this.#wakeWriter = resolve;
      });
    }
  }

  /** Nothing more is written; reading goes on. */
  end(): void {
    this.#socket.shutdown();
  }

  /** An idle connection does not hold the process. */
  setIdle(idle: boolean): void {
    if (idle) this.#socket.unref();
    else this.#socket.ref();
  }

  /** The next bytes; undefined at the peer's end. Throws unavailable when the connection broke. */
  async read(): Promise<Uint8Array | undefined> {
    for (;;) {
      const bytes = this.#received.shift();
      if (bytes !== undefined) {
        this.#receivedBytes -= bytes.length;
        if (this.#paused && this.#receivedBytes < READ_AHEAD_BYTES / 2) this.#pause(false);
        return bytes;
      }
      if (this.#failure) throw this.#gone();
      if (this.#ended) return undefined;
      await new Promise<void>((resolve) => {
        this.#wakeReader = resolve;
      });
    }
  }

  /** Bytes that were read and are somebody else's. */
  unread(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#received.unshift(bytes);
    this.#receivedBytes += bytes.length;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (let bytes = await this.read(); bytes !== undefined; bytes = await this.read()) yield bytes;
  }

  [Symbol.dispose](): void {
    this.#finish(undefined);
    this.#socket.terminate();
  }

  #take(bytes: Uint8Array): void {
    this.#received.push(bytes);
    this.#receivedBytes += bytes.length;
    if (!this.#paused && this.#receivedBytes > READ_AHEAD_BYTES) this.#pause(true);
    this.#wakeReader();
  }

  #pause(paused: boolean): void {
    this.#paused = paused;
    if (paused) this.#socket.pause();
    else this.#socket.resume();
  }

  #finish(error: Error | undefined): void {
    this.#failure ??= error;
    this.#ended = true;
    this.#wakeReader();
    this.#wakeWriter();
  }

  #gone(): HullError {
    const { message } = this.#failure ?? new Error("the connection is closed");
    return new HullError("unavailable", message, { cause: this.#failure });
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const tlsOptions = (tls: TlsFiles): Readonly<Record<string, unknown>> => ({
  ca: tls.ca,
  cert: tls.cert,
  key: tls.key,
  rejectUnauthorized: tls.verify,
});
