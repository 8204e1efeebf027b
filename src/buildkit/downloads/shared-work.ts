/**
 * Work that several builds may want at once, by key: it is done once. Who gives up leaves the others alone; when the last one has given up it is aborted.
 */
interface Running<T> {
  readonly abort: AbortController;
  readonly result: Promise<T>;
  waiting: number;
}

export class SharedWork<T> {
  readonly #running = new Map<string, Running<T>>();

  /** `work`'s signal is not the caller's. All works of a key yield the same. Rejects with the signal's reason after an abort, when the work has ended. */
  async run(key: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    const job = this.#running.get(key) ?? this.#begin(key, work);
    job.waiting++;
    const { promise: aborted, reject } = Promise.withResolvers<never>();
    const leave = (): void => {
      job.waiting--;
      if (job.waiting > 0) reject(signal.reason);
      else {
        this.#forget(key, job);
        job.abort.abort(signal.reason);
      }
    };
    signal.addEventListener("abort", leave, { once: true });
    try {
      return await Promise.race([job.result, aborted]);
    } finally {
      signal.removeEventListener("abort", leave);
    }
  }

  #begin(key: string, work: (signal: AbortSignal) => Promise<T>): Running<T> {
    const abort = new AbortController();
    const job: Running<T> = { abort, result: work(abort.signal), waiting: 0 };
    this.#running.set(key, job);
    const over = (): void => this.#forget(key, job);
    job.result.then(over, over);
    return job;
  }

  #forget(key: string, job: Running<T>): void {
    if (this.#running.get(key) === job) this.#running.delete(key);
  }
}
