/**
 * Which files of a client's directory a build uses, so that only these travel (BuildKit's followpaths): from the sources of COPY, ADD and RUN --mount=type=bind of the
 * stages that are built to patterns; and, where the directory is, from these patterns to those of the links' targets too.
 */
import { cleanInRoot, Glob, hasWildcard } from "./glob.ts";

/**
 * Sorted, each once; empty when everything is used. `sources` are words after expansion: of COPY and ADD (URLs and here-documents are none), "" or "/" of a
 * mount without source. A context of which nothing is used has no sources at all: ask before.
 */
export function usedPatterns(sources: Iterable<string>): readonly string[] {
  const patterns = new Set<string>();
  for (const source of sources) patterns.add(cleanInRoot(source));
  return patterns.has("") ? [] : [...patterns].sort();
}

/** The directory as far as links need it. */
export interface LinkReader {
  /** The target of a symbolic link as written; undefined for anything else and for what is missing. */
  readLink(path: string): Promise<string | undefined>;
  /** Names in a directory; empty when there is none. */
  list(directory: string): Promise<readonly string[]>;
}

/** As many as the kernel follows (path_resolution(7)). */
const mostLinks = 40;

interface Pending {
  readonly pattern: string;
  readonly links: number;
}

/** The patterns and, for each link that one leads through, the link and where it leads in the root. Empty: everything. Sorted, without what a pattern above holds. */
export async function followLinks(patterns: readonly string[], reader: LinkReader): Promise<readonly string[]> {
  const found = new Set<string>();
  const pending: Pending[] = patterns.map((pattern) => ({ pattern: cleanInRoot(pattern), links: 0 }));
  const seen = new Set<string>();
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { pattern, links } = next;
    if (seen.has(pattern) || links > mostLinks) continue;
    seen.add(pattern);
    const targets = await followOne(pattern, { found, reader });
    pending.push(...targets.map((target) => ({ pattern: target, links: links + 1 })));
  }
  return found.has("") ? [] : withoutNested([...found].sort());
}

interface Following {
  readonly found: Set<string>;
  readonly reader: LinkReader;
}

/** Answers where the links lead that the pattern meets. */
async function followOne(pattern: string, { found, reader }: Following): Promise<string[]> {
  const components = pattern.split("/");
  const targets: string[] = [];
  for (let depth = 1; depth <= components.length; depth++) {
    const rest = components.slice(depth).join("/");
    const links = await linksAt(components.slice(0, depth), reader);
    for (const { path, target } of links) {
      found.add(path.replace(/[\\*?[\]!]/g, "\\$&"));
      targets.push(cleanInRoot(`${target}/${rest}`));
    }
    if (links.length > 0 && !hasWildcard(components[depth - 1]!)) return targets;
  }
  found.add(pattern);
  return targets;
}

interface Link {
  readonly path: string;
  /** From the root on. */
  readonly target: string;
}

/** A wildcard can mean several, also beside what is no link. */
async function linksAt(components: readonly string[], reader: LinkReader): Promise<Link[]> {
  const directory = components.slice(0, -1).join("/");
  const name = components.at(-1)!;
  const links: Link[] = [];
  for (const candidate of hasWildcard(name) ? await matchingNames(directory, name, reader) : [name]) {
    const path = directory === "" ? candidate : `${directory}/${candidate}`;
    const target = await reader.readLink(path);
    if (target !== undefined) links.push({ path, target: target.startsWith("/") ? target : `${directory}/${target}` });
  }
  return links;
}

async function matchingNames(directory: string, pattern: string, reader: LinkReader): Promise<string[]> {
  const glob = new Glob(pattern);
  return (await reader.list(directory)).filter((name) => glob.matches(name));
}

function withoutNested(sorted: readonly string[]): string[] {
  const kept: string[] = [];
  for (const pattern of sorted) if (!kept.some((above) => pattern.startsWith(`${above}/`))) kept.push(pattern);
  return kept;
}
