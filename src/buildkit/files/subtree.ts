/** The part of a directory that a COPY takes. */
import type { FileEntry } from "./entry.ts";
import type { FilterState, TreeFilter } from "./tree-filter.ts";
import type { TreeView } from "./tree-view.ts";

interface OpenDirectory {
  readonly entry: FileEntry;
  readonly state: FilterState;
  taken: boolean;
}

/** In the tree's order, patterns relative to the directory; a directory that is not wanted itself comes before the first of its files that is. */
export function filteredSubtree(view: TreeView, directory: string, filter: TreeFilter | undefined): FileEntry[] {
  if (filter === undefined) return [...view.below(directory)];
  const prefix = directory === "" ? 0 : directory.length + 1;
  const taken: FileEntry[] = [];
  const open: OpenDirectory[] = [];
  let skipped: string | undefined;
  for (const entry of view.below(directory)) {
    if (skipped !== undefined && entry.path.startsWith(skipped)) continue;
    skipped = undefined;
    while (open.length > 0 && !entry.path.startsWith(`${open.at(-1)!.entry.path}/`)) open.pop();
    const path = entry.path.slice(prefix);
    const state = filter.step(path, open.at(-1)?.state);
    if (state.wanted) taken.push(...takeAll(open), entry);
    if (entry.kind !== "directory") continue;
    open.push({ entry, state, taken: state.wanted });
    if (!filter.descends(path, state)) skipped = `${entry.path}/`;
  }
  return taken;
}

function takeAll(open: readonly OpenDirectory[]): FileEntry[] {
  const missing = open.filter(({ taken }) => !taken);
  for (const directory of missing) directory.taken = true;
  return missing.map(({ entry }) => entry);
}
