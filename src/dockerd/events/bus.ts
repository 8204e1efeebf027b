/** The event bus: a ring of the latest events and the listeners of now. */
import { epochNsNow } from "../time.ts";
import type { EngineEvent, EventBus, NewEvent } from "./api.ts";

/** As many as dockerd keeps. */
const KEPT = 256;

export class EventRing implements EventBus {
  #past: EngineEvent[] = [];
  #lastNano = 0n;
  readonly #listeners = new Set<(event: EngineEvent) => void>();

  /** How many listen now. */
  get listeners(): number {
    return this.#listeners.size;
  }

  publish(event: NewEvent): void {
    const now = epochNsNow();
    this.#lastNano = now > this.#lastNano ? now : this.#lastNano + 1n;
    const complete = { ...event, attributes: event.attributes ?? {}, timeNano: this.#lastNano };
    this.#past.push(complete);
    if (this.#past.length > KEPT) this.#past = this.#past.slice(-KEPT);
    for (const listener of this.#listeners) listener(complete);
  }

  subscribe(listener: (event: EngineEvent) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  past(): readonly EngineEvent[] {
    return this.#past;
  }
}
