/** How far a build is, from what it says. */
import type { BuildEvent } from "../progress.ts";

export class BuildCounts {
  readonly #known = new Set<string>();
  readonly #completed = new Set<string>();
  readonly #running = new Set<string>();
  readonly #waiting = new Map<string, number>();
  cached = 0;
  warnings = 0;

  get total(): number {
    return this.#known.size;
  }

  get completed(): number {
    return this.#completed.size;
  }

  /** How many are before it in the queue; undefined: it does something, or nothing that waits for a slot. */
  get ahead(): number | undefined {
    return this.#running.size > 0 || this.#waiting.size === 0 ? undefined : Math.min(...this.#waiting.values());
  }

  take(event: BuildEvent): void {
    switch (event.kind) {
      case "vertex":
        this.#known.add(event.id);
        return;
      case "waiting":
        this.#waiting.set(event.id, event.ahead);
        return;
      case "started":
        this.#waiting.delete(event.id);
        this.#running.add(event.id);
        return;
      case "completed":
        this.#complete(event);
        return;
      case "warning":
        this.warnings++;
    }
  }

  #complete({ id, cached, error }: Extract<BuildEvent, { readonly kind: "completed" }>): void {
    this.#waiting.delete(id);
    this.#running.delete(id);
    if (this.#completed.has(id)) return;
    this.#completed.add(id);
    if (cached && error === "") this.cached++;
  }
}
