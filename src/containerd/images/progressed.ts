/** Progress told by callbacks, as part of a stream. */
export class Progressed<P> {
  readonly #queue: P[] = [];
  #wake: () => void = () => {};

  push(progress: P): void {
    this.#queue.push(progress);
    this.#wake();
  }

  /** What is pushed until `work` ends; its failure is thrown. */
  async *until(work: Promise<unknown>): AsyncGenerator<P> {
    let ended = false;
    const end = (): void => {
      ended = true;
      this.#wake();
    };
    work.then(end, end);
    while (!ended || this.#queue.length > 0) {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) yield next;
      if (ended) continue;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    await work;
  }

  /** Items of `source` with what is pushed while each is awaited. */
  async *interleave<T>(source: AsyncIterable<T>): AsyncGenerator<T | P> {
    const items = source[Symbol.asyncIterator]();
    try {
      for (;;) {
        const next = items.next();
        yield* this.until(next);
        const { done, value } = await next;
        if (done) return;
        yield value;
      }
    } finally {
      await items.return?.();
    }
  }
}
