/** One thing after the other: everything that changes a container goes through its queue. */
export class Queue {
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  /** Work that runs or waits. */
  get size(): number {
    return this.#waiting;
  }

  /** Runs `work` after what was queued before it, whether that failed or not. */
  run<T>(work: () => Promise<T>): Promise<T> {
    this.#waiting++;
    const result = this.#last.then(work, work).finally(() => {
      this.#waiting--;
    });
    this.#last = result.catch(() => undefined); // Its caller gets the failure; the next work only waits.
    return result;
  }
}
