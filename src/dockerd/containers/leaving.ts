/**
 * Containers whose removal has been answered and whose clean-up still runs: for a few milliseconds their network, volumes and image are in
 * use by nobody that can be seen. Who would be refused because of them waits for them first.
 */
const DEADLINE_MS = 5000;

export class Leaving {
  readonly #work = new Set<Promise<void>>();

  get any(): boolean {
    return this.#work.size > 0;
  }

  add(work: Promise<void>): void {
    this.#work.add(work);
    const over = () => void this.#work.delete(work);
    work.then(over, over);
  }

  /** When those of now are gone; after a while all the same. */
  async settled(): Promise<void> {
    if (!this.any) return;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, DEADLINE_MS);
    });
    await Promise.race([Promise.allSettled(this.#work), late]);
    clearTimeout(timer);
  }
}
