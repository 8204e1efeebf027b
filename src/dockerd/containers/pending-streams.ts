/**
 * Clients that attached before their container's start. Between Tasks.Create and Tasks.Start each gets its connection to the shim, so that
 * no first byte is missed; when the start fails their streams end.
 */
export interface PendingStream {
  /** Connects to the shim. Its own failures are its client's, never the start's. */
  connect(): Promise<void>;
  cancel(): void;
}

export class PendingStreams {
  #waiting = new Set<PendingStream>();

  /** Waits for the next start until disposed or started. */
  add(stream: PendingStream): Disposable {
    this.#waiting.add(stream);
    return { [Symbol.dispose]: () => void this.#waiting.delete(stream) };
  }

  async attachWaiting(): Promise<void> {
    const streams = [...this.#waiting];
    this.#waiting.clear();
    await Promise.all(streams.map((stream) => stream.connect()));
  }

  failStart(): void {
    const streams = [...this.#waiting];
    this.#waiting.clear();
    for (const stream of streams) stream.cancel();
  }
}
