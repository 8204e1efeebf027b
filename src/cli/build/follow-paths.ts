/** The paths that a build uses, with the links that stand in them: each link and what it leads to, as patterns of what is sent. */
import { cleanInRoot, Glob, hasWildcard } from "../../buildkit/files/glob.ts";
import type { Listings } from "./tree-walk.ts";

/** A circle of links ends here. */
const MOST_STEPS = 10_000;

const literal = (path: string): string => path.replace(/[\\*?[\]!#]/g, "\\$&");

/** Undefined: everything is used. */
export function followedPatterns(listings: Listings, used: readonly string[]): string[] | undefined {
  if (used.length === 0) return undefined;
  const patterns = new Set<string>();
  const pending = used.map((path) => ({ done: "", rest: partsOf(path) }));
  for (const path of used) {
    const clean = cleanInRoot(path);
    if (clean === "") return undefined;
    patterns.add(clean.startsWith("!") ? `\\${clean}` : clean);
  }
  let steps = 0;
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const [name, ...rest] = next.rest;
    if (name === undefined || ++steps > MOST_STEPS) continue;
    for (const file of matching(listings, next.done, name)) {
      const isLink = !file.isFile && !file.isDirectory && file.link !== "";
      if (!isLink) {
        if (file.isDirectory) pending.push({ done: file.path, rest });
        continue;
      }
      const target = file.link.startsWith("/") ? cleanInRoot(file.link) : cleanInRoot(`${next.done}/${file.link}`);
      const end = [target, ...rest].filter((part) => part !== "").join("/");
      if (end === "") return undefined;
      const fresh = !patterns.has(literal(end)) || !patterns.has(literal(file.path));
      patterns.add(literal(file.path));
      patterns.add(hasWildcard(rest.join("/")) ? `${literal(target)}/${rest.join("/")}` : literal(end));
      if (fresh) pending.push({ done: "", rest: partsOf(end) });
    }
  }
  return [...patterns];
}

const partsOf = (path: string): string[] =>
  cleanInRoot(path)
    .split("/")
    .filter((part) => part !== "");

function matching(listings: Listings, directory: string, name: string) {
  if (!hasWildcard(name)) {
    const plain = name.replace(/\\(.)/g, "$1");
    return listings.list(directory).filter((file) => file.name === plain);
  }
  if (name.includes("**")) return [];
  const glob = new Glob(name);
  return listings.list(directory).filter((file) => glob.matches(file.name));
}
