/** One at a time: the kernel's rule set has one writer here. */
export class TurnTaker {
  #running: Promise<unknown> = Promise.resolve();
  #active = 0;

  /** Something runs or waits. */
  get busy(): boolean {
    return this.#active > 0;
  }

  run<T>(work: () => Promise<T>): Promise<T> {
    this.#active++;
    const result = this.#running.then(work).finally(() => this.#active--);
    this.#running = result.catch(() => {});
    return result;
  }
}
