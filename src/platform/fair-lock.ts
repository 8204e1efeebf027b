/** A lock for one or for many at a time. Who came first is served first: a crowd of sharers never keeps one out that waits alone. */
export type Sharing = "shared" | "exclusive";

interface Waiting {
  readonly sharing: Sharing;
  readonly admit: () => void;
}

export class FairLock {
  #sharers = 0;
  #owned = false;
  readonly #queue: Waiting[] = [];

  /** Held, or waited for. */
  get isHeld(): boolean {
    return this.#owned || this.#sharers > 0 || this.#queue.length > 0;
  }

  /** Resolves with what gives it back, to be called once. Abort leaves the queue. */
  async acquire(sharing: Sharing, signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiting = { sharing, admit: resolve };
    const leave = (): void => {
      const at = this.#queue.indexOf(waiting);
      if (at < 0) return; // admitted already
      this.#queue.splice(at, 1);
      this.#serve();
      reject(signal.reason);
    };
    this.#queue.push(waiting);
    signal.addEventListener("abort", leave, { once: true });
    this.#serve();
    try {
      await promise;
    } finally {
      signal.removeEventListener("abort", leave);
    }
    return this.#releaser(sharing);
  }

  #releaser(sharing: Sharing): () => void {
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      if (sharing === "shared") this.#sharers--;
      else this.#owned = false;
      this.#serve();
    };
  }

  #serve(): void {
    for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
      if (this.#owned || (next.sharing === "exclusive" && this.#sharers > 0)) return;
      this.#queue.shift();
      if (next.sharing === "shared") this.#sharers++;
      else this.#owned = true;
      next.admit();
    }
  }
}
