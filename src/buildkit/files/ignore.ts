/**
 * What is left out of a build context: `.dockerignore`, `<Dockerfile>.dockerignore` and --exclude, with Docker's meaning: patterns in order, the last
 * match wins, "!" takes back, a directory's match holds for all that is in it.
 */
import { HullError } from "../../platform/errors.ts";
import { cleanPath } from "./glob.ts";
import { decodePath } from "./path-text.ts";
import { Pattern, trimSpace } from "./pattern.ts";

/** Go's bufio.Scanner takes no longer line. */
const longestLineBytes = 64 * 1024;

/** The names to look for, best first. */
export const ignoreFileNames = (dockerfile: string): readonly string[] => [
  `${dockerfile}.dockerignore`,
  ".dockerignore",
];

/** The patterns of an ignore file, cleaned, "!" in front of exceptions. `name` is for the error. */
export function parseIgnoreFile(data: Buffer, name = ".dockerignore"): string[] {
  const start = data.subarray(0, 3).equals(Buffer.from([0xef, 0xbb, 0xbf])) ? 3 : 0;
  const patterns: string[] = [];
  for (const [index, line] of decodePath(data.subarray(start)).split("\n").entries()) {
    if (line.length >= longestLineBytes) {
      throw new HullError("invalid-argument", `error reading ${name}: line ${index + 1} is longer than 64 KiB`);
    }
    if (line.startsWith("#")) continue;
    const text = trimSpace(line);
    if (text !== "") patterns.push(text.startsWith("!") ? `!${relative(trimSpace(text.slice(1)))}` : relative(text));
  }
  return patterns;
}

function relative(pattern: string): string {
  if (pattern === "") return "";
  const clean = cleanPath(pattern);
  return clean.length > 1 && clean.startsWith("/") ? clean.slice(1) : clean;
}

/** What is known of a directory: for `IgnorePatterns.step`. */
export interface IgnoreState {
  readonly ignored: boolean;
  /** Per pattern: it matched this directory or one above it. */
  readonly matched: readonly boolean[];
}

/**
 * Lifecycle: immutable after construction; patterns become regular expressions when they are first needed.
 * In a walk: `step(path, stateOfItsDirectory)` per entry (undefined: the root's entries), and `skips` before a directory is read.
 */
export class IgnorePatterns {
  readonly patterns: readonly Pattern[];
  readonly #hasExceptions: boolean;
  readonly #none: IgnoreState;

  /** Throws invalid-argument for a bad pattern, in Go's words. */
  constructor(patterns: readonly string[]) {
    this.patterns = patterns.map(parsePattern).filter((pattern) => pattern !== undefined);
    this.#hasExceptions = this.patterns.some(({ exception }) => exception);
    this.#none = { ignored: false, matched: this.patterns.map(() => false) };
  }

  /** Of one path whose directories nobody asked about. */
  matches(path: string): boolean {
    return this.#stateOf(path).ignored;
  }

  /** False: the directory is ignored with all that is in it, a walk need not read it. For `step`'s users there is `skips`. */
  mayIncludeBelow(path: string): boolean {
    return !this.skips(path, this.#stateOf(path));
  }

  /** The pattern that leaves a path out, as it was cleaned; undefined when none does. */
  reason(path: string): string | undefined {
    const { ignored, matched } = this.#stateOf(path);
    return ignored ? this.patterns[matched.lastIndexOf(true)]!.text : undefined;
  }

  #stateOf(path: string): IgnoreState {
    let state: IgnoreState | undefined;
    for (let end = path.indexOf("/"); end >= 0; end = path.indexOf("/", end + 1)) {
      state = this.step(path.slice(0, end), state);
    }
    return this.step(path, state);
  }

  step(path: string, directory: IgnoreState | undefined): IgnoreState {
    const above = directory ?? this.#none;
    const { patterns } = this;
    let ignored = false;
    let changed: boolean[] | undefined;
    for (let index = 0; index < patterns.length; index++) {
      const pattern = patterns[index]!;
      let match = above.matched[index]!;
      if (!match && pattern.exception === ignored && pattern.matches(path)) {
        match = true;
        changed ??= [...above.matched];
        changed[index] = true;
      }
      if (match) ignored = !pattern.exception;
    }
    if (changed !== undefined) return { ignored, matched: changed };
    return ignored === above.ignored ? above : { ignored, matched: above.matched };
  }

  /** Nothing in this ignored directory is wanted: a walk need not read it. */
  skips(path: string, state: IgnoreState): boolean {
    if (!state.ignored) return false;
    if (!this.#hasExceptions) return true;
    const last = state.matched.lastIndexOf(true);
    return this.patterns.every((pattern, index) => {
      const ended = state.matched[index]! || index < last;
      return !pattern.exception || ended || !pattern.mayMatchBelow(path);
    });
  }
}

function parsePattern(text: string): Pattern | undefined {
  try {
    return Pattern.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new HullError("invalid-argument", `ignore pattern ${JSON.stringify(text)}: ${reason}`, { cause: error });
  }
}

/** The classic builder's client sends the Dockerfile and the ignore file even when they are ignored: the daemon needs them. */
export function keepingBuildFiles(patterns: readonly string[], dockerfile: string | undefined): string[] {
  const kept = [...patterns];
  for (const name of [".dockerignore", ...(dockerfile === undefined ? [] : [cleanPath(dockerfile)])]) {
    if (new IgnorePatterns(kept).matches(name)) kept.push(`!${name}`);
  }
  return kept;
}
