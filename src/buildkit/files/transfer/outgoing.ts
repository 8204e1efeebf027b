/** Messages that are written by calls and read as a stream, once. */
export class Outgoing<T> implements AsyncIterable<T> {
  readonly #queue: T[] = [];
  #ended = false;
  #wake: () => void = () => {};

  push(message: T): void {
    if (this.#ended) return;
    this.#queue.push(message);
    this.#wake();
  }

  /** What was pushed is still read. */
  end(): void {
    this.#ended = true;
    this.#wake();
  }

  get length(): number {
    return this.#queue.length;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) yield next;
      if (this.#ended) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
