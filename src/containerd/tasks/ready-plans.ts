/**
 * A container that has just been made is started within milliseconds as a rule. Its plan, which is a pure function of its specification
 * and its root, is compiled while its client gets ready to start it.
 * Lifecycle of a plan: `foresee` (when the daemon has nothing else to do) -> `take` by the start, or forgotten after some seconds.
 */
import type { ContainerPlan } from "./runtime.ts";

export interface Foreseen {
  /** As the container's record has it: another one makes the plan worthless. */
  readonly record: Uint8Array;
  /** Where the root is mounted; empty: as the specification says. */
  readonly root: string;
}

export interface ForeseenPlan {
  readonly of: Foreseen;
  readonly ready: ReadyPlan;
}

export interface ReadyPlan {
  /** config.json with its root. */
  readonly spec: Uint8Array;
  readonly plan: ContainerPlan;
}

const KEPT_MS = 5000;
/** A plan has about 100 KB. */
const MOST_KEPT = 32;

interface Kept extends ForeseenPlan {
  readonly timer: NodeJS.Timeout;
}

export class ReadyPlans {
  readonly #kept = new Map<string, Kept>();

  /** `look` may throw, as the container may have gone again: then nothing is kept, and a start says why. */
  foresee(key: string, look: () => ForeseenPlan): void {
    if (this.#kept.size >= MOST_KEPT) return;
    let plan: ForeseenPlan;
    try {
      plan = look();
    } catch {
      return;
    }
    clearTimeout(this.#kept.get(key)?.timer);
    this.#kept.set(key, { ...plan, timer: setTimeout(() => this.#kept.delete(key), KEPT_MS).unref() });
  }

  /** The plan, once, when it is the one of these. */
  take(key: string, of: Foreseen): ReadyPlan | undefined {
    const kept = this.#kept.get(key);
    if (!kept) return undefined;
    this.#kept.delete(key);
    clearTimeout(kept.timer);
    const isSame = kept.of.root === of.root && Buffer.compare(kept.of.record, of.record) === 0;
    return isSame ? kept.ready : undefined;
  }
}
