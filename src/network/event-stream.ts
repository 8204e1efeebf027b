/** What netd tells whoever listens. A listener that does not read loses the oldest events, never delays anybody. */
import type { NetdEvent } from "./api.ts";

const MAX_WAITING = 256;

export class EventStream {
  readonly #listeners = new Set<{ readonly queue: NetdEvent[]; wake: () => void }>();

  publish(event: NetdEvent): void {
    for (const listener of this.#listeners) {
      listener.queue.push(event);
      if (listener.queue.length > MAX_WAITING) listener.queue.shift();
      listener.wake();
    }
  }

  /** Ends when `signal` is aborted. */
  async *subscribe(signal: AbortSignal): AsyncGenerator<NetdEvent> {
    const listener = { queue: [] as NetdEvent[], wake: () => {} };
    const onAbort = (): void => listener.wake();
    this.#listeners.add(listener);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      while (!signal.aborted) {
        const event = listener.queue.shift();
        if (event) yield event;
        else await new Promise<void>((resolve) => (listener.wake = resolve));
      }
    } finally {
      signal.removeEventListener("abort", onAbort);
      this.#listeners.delete(listener);
    }
  }
}
