/**
 * Creations and starts take turns, in the order they came: with a few at a time as many are made in a second as with all at once, and who only
 * reads is answered in half the time. One that takes long (a mount that hangs, a runtime of somebody else's) goes on without its turn, so
 * that it holds up nobody.
 */
import { availableParallelism } from "node:os";

const TURNS = 4 * availableParallelism();
const LONG_MS = 2000;

export class Turns {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(
    turns = TURNS,
    private readonly longMs = LONG_MS,
  ) {
    this.#free = turns;
  }

  /** `waits`: called when there is no turn yet; disposed when there is. */
  async run<T>(work: () => Promise<T>, waits: () => Disposable): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await this.#next(waits);
    using _turn = this.#turn();
    return await work();
  }

  async #next(waits: () => Disposable): Promise<void> {
    using _ = waits();
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** Ends with the work, or before it. */
  #turn(): Disposable {
    let isOver = false;
    const end = () => {
      if (isOver) return;
      isOver = true;
      clearTimeout(timer);
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    };
    const timer = setTimeout(end, this.longMs);
    return { [Symbol.dispose]: end };
  }
}
