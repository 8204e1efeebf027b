/** What a walk of a tree takes: patterns to include (used paths, --parents), patterns to leave out (.dockerignore, --exclude). */
import type { IgnorePatterns, IgnoreState } from "./ignore.ts";

/** Of one entry; of a directory it serves what is in it. */
export interface FilterState {
  /** False for a directory: it is still taken, before the first thing in it that is wanted. */
  readonly wanted: boolean;
  readonly included: IgnoreState | undefined;
  readonly excluded: IgnoreState | undefined;
}

/** In a walk, parents first: `step` per entry with its directory's state (undefined for the root's entries), `descends` before a directory is read. */
export class TreeFilter {
  readonly #includes: IgnorePatterns | undefined;
  readonly #excludes: IgnorePatterns | undefined;

  /** Undefined: includes everything, excludes nothing. */
  constructor(includes: IgnorePatterns | undefined, excludes: IgnorePatterns | undefined) {
    this.#includes = includes;
    this.#excludes = excludes;
  }

  step(path: string, directory: FilterState | undefined): FilterState {
    const included = this.#includes?.step(path, directory?.included);
    const excluded = this.#excludes?.step(path, directory?.excluded);
    return { wanted: (included?.ignored ?? true) && !(excluded?.ignored ?? false), included, excluded };
  }

  /** False: nothing in this directory is wanted, however deep. */
  descends(path: string, { included, excluded }: FilterState): boolean {
    if (excluded !== undefined && this.#excludes!.skips(path, excluded)) return false;
    if (included === undefined || included.matched.includes(true)) return true;
    return this.#includes!.patterns.some((pattern) => pattern.mayMatchBelow(path));
  }
}
