/** Looking things up in a file tree: by path, through symbolic links that mean the tree's root, by wildcards. */
import { HullError } from "../../platform/errors.ts";
import type { FileEntry, FileTree } from "./entry.ts";
import { cleanInRoot, cleanPath, Glob, hasWildcard } from "./glob.ts";

/** As many as the kernel follows (path_resolution(7)). */
const mostLinks = 40;

export interface Located {
  /** Where the path leads; as it is where nothing is. */
  readonly path: string;
  readonly entry: FileEntry | undefined;
}

export interface Expansion {
  readonly paths: readonly string[];
  readonly missing?: string;
}

/** Built once per tree: `TreeView.of`. */
export class TreeView {
  static readonly #views = new WeakMap<readonly FileEntry[], TreeView>();
  readonly entries: readonly FileEntry[];
  readonly #positions = new Map<string, number>();

  static of({ entries }: Pick<FileTree, "entries">): TreeView {
    const known = TreeView.#views.get(entries);
    if (known !== undefined) return known;
    const view = new TreeView(entries);
    TreeView.#views.set(entries, view);
    return view;
  }

  private constructor(entries: readonly FileEntry[]) {
    this.entries = entries;
    for (const [index, { path }] of entries.entries()) this.#positions.set(path, index);
  }

  /** Of exactly this path. The root is a directory also where the tree does not name it. */
  get(path: string): FileEntry | undefined {
    const position = this.#positions.get(path);
    if (position !== undefined) return this.entries[position];
    return path === "" ? unnamedRoot() : undefined;
  }

  /** Follows every link, the last one too; neither ".." nor a link leaves the root. Throws invalid-argument for links in a circle. */
  follow(path: string): Located {
    const pending = cleanInRoot(path).split("/").reverse();
    const reached: string[] = [];
    let links = 0;
    for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
      if (name === "" || name === ".") continue;
      if (name === "..") {
        reached.pop();
        continue;
      }
      reached.push(name);
      const entry = this.get(reached.join("/"));
      if (entry?.kind !== "symlink") continue;
      if (++links > mostLinks) throw new HullError("invalid-argument", `/${path}: too many levels of symbolic links`);
      if (entry.linkTarget.startsWith("/")) reached.length = 0;
      else reached.pop();
      pending.push(...entry.linkTarget.split("/").reverse());
    }
    const end = reached.join("/");
    return { path: end, entry: this.get(end) };
  }

  /** Everything in a directory, however deep, in the tree's order. */
  *below(directory: string): Generator<FileEntry> {
    const prefix = directory === "" ? "" : `${directory}/`;
    const first = this.#positions.get(directory) ?? -1;
    for (let at = first + 1; at < this.entries.length && this.entries[at]!.path.startsWith(prefix); at++) {
      yield this.entries[at]!;
    }
  }

  /** Names of what is directly in a directory. */
  names(directory: string): string[] {
    const prefix = directory === "" ? 0 : directory.length + 1;
    const names: string[] = [];
    for (const { path } of this.below(directory)) if (!path.includes("/", prefix)) names.push(path.slice(prefix));
    return names;
  }

  /**
   * The paths that a pattern means, in the tree's order: links are followed up to the first component with a wildcard (not at all without `followLinks`), none
   * behind it. What matches is not searched itself. Without a wildcard: the path as it is; `missing`: the directory to search in is not there.
   * Throws invalid-argument for a bad pattern.
   */
  expand(pattern: string, { followLinks }: { readonly followLinks: boolean }): Expansion {
    const components = cleanInRoot(pattern).split("/");
    const first = components.findIndex(hasWildcard);
    if (first < 0) return { paths: [components.join("/")] };
    const glob = new Glob(components.slice(first).join("/"));
    const plain = components.slice(0, first).join("/");
    const base = followLinks ? this.follow(plain) : { path: plain, entry: this.get(plain) };
    if (base.entry === undefined) return { paths: [], missing: plain };
    return { paths: base.entry.kind === "directory" ? this.#matching(base.path, glob) : [] };
  }

  #matching(base: string, glob: Glob): string[] {
    const skipped = base === "" ? 0 : base.length + 1;
    const found: string[] = [];
    let inside: string | undefined;
    for (const { path } of this.below(base)) {
      if (inside !== undefined && path.startsWith(inside)) continue;
      if (!glob.matches(path.slice(skipped))) continue;
      found.push(path);
      inside = `${path}/`;
    }
    return found;
  }
}

/** What is made of it is new. */
const unnamedRoot = (): FileEntry => ({
  path: "",
  kind: "directory",
  mode: 0o755,
  uid: 0,
  gid: 0,
  size: 0,
  mtimeNs: BigInt(Date.now()) * 1_000_000n,
  sha256: "",
  linkTarget: "",
  hardLinkTo: "",
  deviceMajor: 0,
  deviceMinor: 0,
  xattrs: [],
});

/** The existing path most like one that is missing: a sibling spelled almost so, or the same name elsewhere; undefined when there is none. */
export function nearestPath(view: TreeView, path: string): string | undefined {
  const missing = cleanPath(path).split("/");
  const wrong = missing.findIndex((_, index) => view.get(missing.slice(0, index + 1).join("/")) === undefined);
  if (wrong < 0) return undefined;
  const directory = missing.slice(0, wrong).join("/");
  const name = nearestName(missing[wrong]!, view.names(directory));
  if (name !== undefined) {
    const candidate = [...missing.slice(0, wrong), name, ...missing.slice(wrong + 1)].join("/");
    if (view.get(candidate) !== undefined) return candidate;
    if (wrong < missing.length - 1) return nearestPath(view, candidate);
  }
  const ending = `/${missing.at(-1)}`;
  return view.entries.find((entry) => entry.path.endsWith(ending) || entry.path === missing.at(-1))?.path;
}

function nearestName(name: string, names: readonly string[]): string | undefined {
  const wanted = name.toLowerCase();
  let [nearest, least]: [string | undefined, number] = [undefined, Math.min(3, Math.ceil(name.length / 2))];
  for (const candidate of names) {
    if (Math.abs(candidate.length - name.length) > least) continue;
    const distance = editDistance(wanted, candidate.toLowerCase());
    if (distance < least) [nearest, least] = [candidate, distance];
  }
  return nearest;
}

/** Insertions, removals, exchanges of one character and of two neighbours. */
function editDistance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, index) => index)];
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    const previous = rows[row - 1]!;
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1];
      let least = Math.min(previous[column - 1]! + (same ? 0 : 1), previous[column]! + 1, current[column - 1]! + 1);
      const swapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      if (swapped) least = Math.min(least, rows[row - 2]![column - 2]! + 1);
      current.push(least);
    }
    rows.push(current);
  }
  return rows[a.length]![b.length]!;
}
