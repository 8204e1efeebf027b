/**
 * Slots for the work of builds, given by a FairQueue.
 * Lifecycle: `acquire` waits its turn (abort takes it out of the queue) -> the slot is disposed of, once. Who has a slot never waits for another.
 */
import { FairQueue, type QueueLimits, type Ticket } from "./queue.ts";

export interface SlotRequest extends Ticket {
  readonly signal: AbortSignal;
  /** Again whenever it changes; not at all when there is a slot at once. */
  readonly onWaiting: (ahead: number) => void;
}

interface Waiter {
  readonly grant: () => void;
  readonly onWaiting: (ahead: number) => void;
  told: number;
}

export class Admission {
  readonly #queue: FairQueue;
  readonly #waiters = new Map<Ticket, Waiter>();

  constructor(limits: QueueLimits) {
    this.#queue = new FairQueue(limits);
  }

  setLimits(limits: QueueLimits): void {
    this.#queue.setLimits(limits);
    this.#grant();
  }

  async acquire({ signal, onWaiting, ...ticket }: SlotRequest): Promise<Disposable> {
    signal.throwIfAborted();
    const granted = Promise.withResolvers<void>();
    const abort = (): void => {
      if (!this.#waiters.delete(ticket)) return;
      this.#queue.withdraw(ticket);
      granted.reject(signal.reason);
      this.#tell();
    };
    signal.addEventListener("abort", abort, { once: true });
    this.#waiters.set(ticket, { grant: granted.resolve, onWaiting, told: -1 });
    this.#queue.enqueue(ticket);
    this.#grant();
    try {
      await granted.promise;
    } finally {
      signal.removeEventListener("abort", abort);
    }
    return { [Symbol.dispose]: () => this.#release(ticket) };
  }

  /** The build is over. */
  forget(build: string): void {
    this.#queue.forget(build);
  }

  #release(ticket: Ticket): void {
    this.#queue.finish(ticket);
    this.#grant();
  }

  #grant(): void {
    for (let ticket = this.#queue.next(); ticket !== undefined; ticket = this.#queue.next()) {
      this.#waiters.get(ticket)?.grant();
      this.#waiters.delete(ticket);
    }
    this.#tell();
  }

  #tell(): void {
    if (this.#waiters.size === 0) return;
    for (const [ticket, ahead] of this.#queue.ahead()) {
      const waiter = this.#waiters.get(ticket);
      if (waiter === undefined || waiter.told === ahead) continue;
      waiter.told = ahead;
      waiter.onWaiting(ahead);
    }
  }
}
