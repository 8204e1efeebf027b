/** The part of a directory that a COPY takes: what --parents' patterns include and --exclude leaves out. */
import type { FileEntry } from "./entry.ts";
import type { IgnorePatterns, IgnoreState } from "./ignore.ts";
import type { TreeView } from "./tree-view.ts";

export interface SubtreeFilter {
  /** Patterns relative to the directory; undefined: everything. */
  readonly includes: IgnorePatterns | undefined;
  readonly excludes: IgnorePatterns | undefined;
}

interface OpenDirectory {
  readonly entry: FileEntry;
  readonly included: IgnoreState | undefined;
  readonly excluded: IgnoreState | undefined;
  taken: boolean;
}

/** In the tree's order; a directory that is not taken itself comes before the first of its files that is. */
export function filteredSubtree(view: TreeView, directory: string, { includes, excludes }: SubtreeFilter): FileEntry[] {
  if (includes === undefined && excludes === undefined) return [...view.below(directory)];
  const prefix = directory === "" ? 0 : directory.length + 1;
  const taken: FileEntry[] = [];
  const open: OpenDirectory[] = [];
  let skipped: string | undefined;
  for (const entry of view.below(directory)) {
    if (skipped !== undefined && entry.path.startsWith(skipped)) continue;
    skipped = undefined;
    while (open.length > 0 && !entry.path.startsWith(`${open.at(-1)!.entry.path}/`)) open.pop();
    const path = entry.path.slice(prefix);
    const above = open.at(-1);
    const included = includes?.step(path, above?.included);
    const excluded = excludes?.step(path, above?.excluded);
    const wanted = (included?.ignored ?? true) && !(excluded?.ignored ?? false);
    if (wanted) taken.push(...takeAll(open), entry);
    if (entry.kind !== "directory") continue;
    open.push({ entry, included, excluded, taken: wanted });
    if (excluded !== undefined && excludes!.skips(path, excluded)) skipped = `${entry.path}/`;
  }
  return taken;
}

function takeAll(open: readonly OpenDirectory[]): FileEntry[] {
  const missing = open.filter(({ taken }) => !taken);
  for (const directory of missing) directory.taken = true;
  return missing.map(({ entry }) => entry);
}
