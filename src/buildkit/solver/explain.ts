/** Why a step was not in the cache: what of its key is other than the last time this step was built. */
import type { Vertex } from "../graph/vertex.ts";
import type { KeyParts } from "./cache-table.ts";
import { hashOf } from "./key.ts";

export interface Explanation {
  readonly vertex: Vertex;
  readonly cached: boolean;
  /** "file src/main.c has changed"; of a miss at least one. */
  readonly reasons: readonly string[];
}

/** How many files a step names at most. */
const MAX_NAMED = 20;

/**
 * The same step in two builds of a project, also when its text has changed: file, stage and number of the step, as its name says them
 * ("[build 2/5] RUN make"). Undefined for vertices that are no numbered steps.
 */
export function stepIdentity(project: string, { name, location, kind, platform }: Vertex): string | undefined {
  const numbered = /^\[((?:\S+ )*?)\s*(\d+)\/\d+\]/.exec(name);
  if (!numbered) return undefined;
  return hashOf(project, location?.file ?? "", platform, numbered[1]!, numbered[2]!, kind);
}

/** In words, what differs; empty when nothing does. */
export function differences(before: KeyParts, now: KeyParts): readonly string[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(now)])].sort();
  const changed = names.filter((name) => before[name] !== now[name]);
  const known = [before, now].every((parts) => Object.keys(parts).some(isFile));
  const files = known ? changed.filter(isFile) : [];
  const others = changed.filter((name) => !isFile(name) && (files.length === 0 || name !== CONTENT_PART));
  const named = [...others, ...files.slice(0, MAX_NAMED)].map((name) => sentence(name, before, now));
  return files.length > MAX_NAMED ? [...named, `and ${files.length - MAX_NAMED} more files`] : named;
}

export const BASE_PART = "base";
export const CONTENT_PART = "content";
export const FILE_PART = "file ";
const isFile = (name: string): boolean => name.startsWith(FILE_PART);

function sentence(name: string, before: KeyParts, now: KeyParts): string {
  const how = before[name] === undefined ? "is new" : now[name] === undefined ? "is gone" : "has changed";
  if (name === BASE_PART) return "the step before it, or its base image, has changed";
  if (name === CONTENT_PART) return "the files that it copies have changed";
  if (name.startsWith("variable ")) return `ARG or ENV ${name.slice("variable ".length)} ${how}`;
  if (name === "instruction") return "the instruction has changed";
  if (name.startsWith("contents of mount "))
    return `what mount ${name.slice("contents of mount ".length)} shows ${how}`;
  return `${name.startsWith(FILE_PART) ? "" : "the "}${name} ${how}`;
}
