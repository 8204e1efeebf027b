/** One thing after the other: a queue of async bodies. A failing one does not stop those behind it. */
export class Serial {
  #last: Promise<unknown> = Promise.resolve();

  run<T>(body: () => Promise<T>): Promise<T> {
    const result = this.#last.then(body);
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** Everything queued so far has ended. */
  async idle(): Promise<void> {
    await this.#last;
  }
}
