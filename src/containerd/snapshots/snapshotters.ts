/** The snapshotters of this engine by their names; clients' names for overlay2 lead to it. */
import { HullError } from "../../platform/errors.ts";
import type { IndexedSnapshotter } from "./indexed-snapshotter.ts";

/** Names that clients ask for. */
const aliases: Readonly<Record<string, readonly string[]>> = { overlay2: ["overlayfs"], vfs: ["native"] };

export class Snapshotters {
  readonly #byName = new Map<string, IndexedSnapshotter>();

  /** The first is the default, which answers to the empty name and, when it stands in for another, to that one's names. */
  constructor(private readonly stores: readonly [IndexedSnapshotter, ...IndexedSnapshotter[]]) {
    for (const store of stores) {
      for (const name of [store.name, ...(aliases[store.name] ?? [])]) this.#byName.set(name, store);
    }
    for (const name of ["", "overlay2", "overlayfs"]) if (!this.#byName.has(name)) this.#byName.set(name, stores[0]);
  }

  get default(): IndexedSnapshotter {
    return this.stores[0];
  }

  all(): readonly IndexedSnapshotter[] {
    return this.stores;
  }

  /** Throws `not-found`. */
  get(name: string): IndexedSnapshotter {
    const found = this.#byName.get(name);
    if (found === undefined) throw new HullError("not-found", `snapshotter not loaded: ${name}: not found`);
    return found;
  }

  canonical(name: string): string {
    return this.#byName.get(name)?.name ?? name;
  }
}
