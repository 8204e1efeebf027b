/** At most so many at once; the rest wait in order. */
export class Slots {
  readonly #waiting: (() => void)[] = [];
  #taken = 0;

  constructor(private count: number) {}

  /** From now on; what runs goes on. */
  resize(count: number): void {
    this.count = count;
    this.#wake();
  }

  /** `onWait` is told when there is none free. */
  async run<T>(body: () => Promise<T>, onWait?: () => void): Promise<T> {
    if (this.#taken >= this.count) {
      onWait?.();
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else this.#taken += 1;
    try {
      return await body();
    } finally {
      this.#taken -= 1;
      this.#wake();
    }
  }

  /** Each that is woken has its slot already: nobody comes in between. */
  #wake(): void {
    while (this.#taken < this.count && this.#waiting.length > 0) {
      this.#taken += 1;
      this.#waiting.shift()!();
    }
  }
}
