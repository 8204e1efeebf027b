/**
 * What COPY and ADD take from a tree (the destination is place.ts's part). BuildKit's rules: wildcards as filepath.Match, a source that is a link is followed
 * in the tree's root, a directory means its contents, --parents keeps the path from "/./" on. The classic dialect differs in wildcards below links
 * and in its errors.
 */
import { HullError } from "../../platform/errors.ts";
import type { Dialect } from "../graph/vertex.ts";
import type { FileEntry, FileTree } from "./entry.ts";
import { cleanInRoot, cleanPath, hasWildcard } from "./glob.ts";
import { IgnorePatterns } from "./ignore.ts";
import { notFound, outsideContext } from "./select-errors.ts";
import { filteredSubtree } from "./subtree.ts";
import { TreeFilter } from "./tree-filter.ts";
import { TreeView } from "./tree-view.ts";

export interface SelectRequest {
  readonly instruction: "COPY" | "ADD";
  readonly sources: readonly string[];
  /** --exclude: relative to each source directory; of a single file, its name. */
  readonly excludes: readonly string[];
  readonly parents: boolean;
  readonly dialect: Dialect;
  /** The main or a named context, whose missing files may be ignored ones. */
  readonly isContext: boolean;
  /** Patterns that left files of it out, for the reason why something is missing. */
  readonly ignored?: readonly string[] | undefined;
  /** The sources are names (a downloaded file), not patterns. */
  readonly literal: boolean;
}

/** One existing source: a pattern can yield several. */
export interface SelectedSource {
  /** As the request has it. */
  readonly source: string;
  /** What a file is called in a directory: the name that was asked for, not that of what a link led to. */
  readonly name: string;
  /** What is there; never a link. */
  readonly entry: FileEntry;
  /** Of a directory: all that goes into the destination, parents first, paths as in the tree. */
  readonly contents: readonly FileEntry[];
}

export interface Selection {
  readonly sources: readonly SelectedSource[];
}

/** Throws not-found for a source that is missing (a pattern that matches nothing selects nothing), invalid-argument for bad patterns and links in a circle. */
export function selectSources(tree: FileTree, request: SelectRequest): Selection {
  const view = TreeView.of(tree);
  const excludes = request.excludes.length === 0 ? undefined : new IgnorePatterns(request.excludes);
  const select = request.parents ? selectParents : selectPlain;
  const sources = request.sources.flatMap((source) => select({ view, request, excludes }, source));
  if (request.dialect === "classic" && sources.length === 0) {
    throw new HullError("invalid-argument", `${request.instruction} failed: no source files were specified`);
  }
  return { sources };
}

interface Search {
  readonly view: TreeView;
  readonly request: SelectRequest;
  readonly excludes: IgnorePatterns | undefined;
}

function selectPlain(search: Search, source: string): SelectedSource[] {
  const { request, excludes } = search;
  if (request.dialect === "classic" && leavesContext(source)) throw outsideContext(request, source);
  const paths = request.literal ? [cleanInRoot(source)] : expanded(search, source);
  return paths
    .map((path) => selected(search, { source, path, includes: undefined }))
    .filter(({ entry, name }) => entry.kind === "directory" || !(excludes?.matches(name) ?? false));
}

/** The classic builder refuses it, where BuildKit stays at the root. */
const leavesContext = (source: string): boolean =>
  !hasWildcard(source) && /^\.\.(?:\/|$)/.test(cleanPath(source.replace(/^\//, "")));

function expanded({ view, request }: Search, source: string): readonly string[] {
  const isClassic = request.dialect === "classic";
  const { paths, missing } = view.expand(source, { followLinks: !isClassic });
  if (missing !== undefined && !isClassic) throw notFound(view, request, missing);
  return paths;
}

/** The part in front of "/./" is not kept; without one everything is. */
function selectParents(search: Search, source: string): SelectedSource[] {
  const { view, request } = search;
  const pivot = source.indexOf("/./");
  const start = pivot < 0 ? "" : source.slice(0, pivot);
  const kept = cleanInRoot(pivot < 0 ? source : source.slice(pivot + 3));
  const includes = kept === "" ? undefined : new IgnorePatterns([kept]);
  const found = expanded(search, start).map((path) => selected(search, { source, path, includes }));
  const nothing = found.every(({ entry, contents }) => contents.length === 0 && !has(view, entry.path, kept));
  if (nothing && kept !== "" && !hasWildcard(start) && !hasWildcard(kept)) {
    throw notFound(view, request, [cleanInRoot(start), kept].filter(Boolean).join("/"));
  }
  return found;
}

const has = (view: TreeView, directory: string, path: string) =>
  view.get([directory, path].filter(Boolean).join("/")) !== undefined;

interface Found {
  readonly source: string;
  readonly path: string;
  readonly includes: IgnorePatterns | undefined;
}

function selected({ view, request, excludes }: Search, { source, path, includes }: Found): SelectedSource {
  const { path: end, entry } = view.follow(path);
  if (entry === undefined) throw notFound(view, request, path);
  const name = path.slice(path.lastIndexOf("/") + 1);
  const contents = entry.kind === "directory" ? filteredSubtree(view, end, filterOf(includes, excludes)) : [];
  return { source, name, entry, contents };
}

const filterOf = (includes: IgnorePatterns | undefined, excludes: IgnorePatterns | undefined) =>
  includes === undefined && excludes === undefined ? undefined : new TreeFilter(includes, excludes);
