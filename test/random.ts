/** Reproducible choices: the same seed gives the same run. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = (seed ^ 0x9e3779b9) >>> 0 || 1;
  }

  /** An integer from 0 to n - 1 (xorshift32). */
  below(n: number): number {
    let x = this.#state;
    x ^= (x << 13) >>> 0;
    x ^= x >>> 17;
    x = (x ^ (x << 5)) >>> 0;
    this.#state = x;
    return n <= 1 ? 0 : x % n;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
}
