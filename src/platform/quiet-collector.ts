/**
 * Collects once after each burst of work, when it is over: the runtime's own collections are paced by what is allocated, so what the last
 * work left stays as long as nothing follows. The processor time that the process used tells work from quiet.
 *
 * Lifecycle: `collectWhenQuiet` once; it holds no process. A collection takes 5 to 10 ms in which nothing else runs; it comes after three
 * seconds without work, and not again before there was some.
 */
const LOOK_MS = 1000;
/** Used in a second: below it nothing was done but looking at timers. */
const QUIET_MS = 30;
const QUIET_LOOKS = 3;
/** Less work leaves nothing worth the pause. */
const WORTH_MS = 200;

/** Pure: when to collect, from the processor time used between looks. */
export class QuietWatch {
  #workMs = 0;
  #quietLooks = 0;

  /** `usedMs`: since the look before. True: now. */
  look(usedMs: number): boolean {
    if (usedMs > QUIET_MS) {
      this.#workMs += usedMs;
      this.#quietLooks = 0;
      return false;
    }
    this.#quietLooks++;
    if (this.#quietLooks < QUIET_LOOKS || this.#workMs < WORTH_MS) return false;
    this.#workMs = 0;
    return true;
  }
}

/** What is used of Bun's modules. */
interface Collector {
  /** Everything, now; compiled code stays. */
  fullGC(): number;
}

export function collectWhenQuiet(): void {
  const watch = new QuietWatch();
  let before = process.cpuUsage();
  const look = async (): Promise<void> => {
    const now = process.cpuUsage();
    const usedMs = (now.user + now.system - before.user - before.system) / 1000;
    before = now;
    if (!watch.look(usedMs)) return;
    const { fullGC } = (await import("bun:jsc" as string)) as Collector;
    fullGC();
  };
  setInterval(() => void look(), LOOK_MS).unref();
}
