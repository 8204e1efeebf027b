/**
 * One pattern of an ignore file, with the exact meaning of moby/patternmatcher: filepath.Match's syntax and "**", turned into a regular
 * expression (including what falls out of that turning: "^" is an anchor, "|" and "{2}" mean what they mean there).
 */
import { HullError } from "../../platform/errors.ts";
import { badPattern, checkIgnoreSyntax, cleanPath, Glob } from "./glob.ts";
import { goRegExp } from "./go-regexp.ts";
import { countRepeats, linearMatcher } from "./linear-match.ts";

type Matcher = (path: string) => boolean;

export class Pattern {
  /** Cleaned, without "!". */
  readonly text: string;
  /** Begins with "!": takes back what earlier patterns matched. */
  readonly exception: boolean;
  #kind: "exact" | "prefix" | "suffix" | "regexp" | undefined;
  #matcher: Matcher | undefined;

  private constructor(text: string, exception: boolean) {
    this.text = text;
    this.exception = exception;
  }

  /** Undefined for one of spaces only. Throws invalid-argument for one that filepath.Match refuses. */
  static parse(line: string): Pattern | undefined {
    const trimmed = trimSpace(line);
    if (trimmed === "") return undefined;
    const cleaned = cleanPath(trimmed);
    const exception = cleaned.startsWith("!");
    if (cleaned === "!") throw illegalException();
    const text = exception ? cleaned.slice(1) : cleaned;
    checkIgnoreSyntax(text);
    return new Pattern(text, exception);
  }

  /** Of this path alone; parents are the caller's. Throws invalid-argument where the regular expression is none. */
  matches(path: string): boolean {
    this.#matcher ??= this.#compile();
    return this.#matcher(path);
  }

  /** False only when nothing that is in this directory, however deep, matches by itself. */
  mayMatchBelow(directory: string): boolean {
    this.#matcher ??= this.#compile();
    const below = `${directory}/`;
    if (this.#kind === "exact") return this.text.startsWith(below);
    if (this.#kind === "suffix") return true;
    if (this.#kind === "prefix") {
      const prefix = this.text.slice(0, -2);
      return prefix.startsWith(below) || below.startsWith(prefix);
    }
    return componentsMayMatch(this.text.split("/"), directory.split("/"));
  }

  #compile(): Matcher {
    const { kind, source } = translate([...this.text]);
    this.#kind = kind;
    const { text } = this;
    if (kind === "exact") return (path) => path === text;
    if (kind === "prefix") {
      const prefix = text.slice(0, -2);
      return (path) => path.startsWith(prefix);
    }
    if (kind === "suffix") {
      const suffix = text.slice(2);
      const alone = suffix.startsWith("/") ? suffix.slice(1) : undefined;
      return (path) => path.endsWith(suffix) || path === alone;
    }
    const expression = goRegExp(`^${source}$`);
    if (countRepeats(text) > mostRepeats) return linearMatcher(text) ?? refuse(text);
    return (path) => expression.test(path);
  }
}

/** A regular expression takes time to the power of this. */
const mostRepeats = 2;

function refuse(text: string): never {
  throw new HullError(
    "invalid-argument",
    `the pattern ${JSON.stringify(text)} has too many wildcards for "|", "^", "{" or "\\d"`,
  );
}

const illegalException = () => {
  const error = badPattern();
  error.message = 'illegal exclusion pattern: "!"';
  return error;
};

const spaces = "[\\t-\\r \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]+";
const outerSpaces = new RegExp(`^${spaces}|${spaces}$`, "g");

/** Go's strings.TrimSpace: a byte order mark is no space, U+0085 is one. */
export const trimSpace = (text: string): string => text.replace(outerSpaces, "");

/** Not "|" and "{": patternmatcher means to escape them as well, but they keep their meaning in regular expressions. */
const escaped = new Set(".+()$");

interface Translation {
  readonly kind: "exact" | "prefix" | "suffix" | "regexp";
  /** Go's syntax, without anchors. */
  readonly source: string;
}

function translate(characters: readonly string[]): Translation {
  let kind: Translation["kind"] = "exact";
  let source = "";
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at]!;
    if (character === "*" && characters[at + 1] === "*") {
      const first = at === 0;
      at += characters[at + 2] === "/" ? 2 : 1;
      if (at + 1 < characters.length) {
        source += "(.*/)?";
        kind = "regexp";
      } else if (kind === "exact") kind = "prefix";
      else {
        source += ".*";
        kind = "regexp";
      }
      if (first) kind = "suffix";
    } else if (character === "\\") {
      const next = characters[++at];
      source += `\\${next ?? ""}`;
      if (next !== undefined) kind = "regexp";
    } else {
      source += piece(character);
      if ("*?[]".includes(character)) kind = "regexp";
    }
  }
  return { kind, source };
}

function piece(character: string): string {
  if (character === "*") return "[^/]*";
  if (character === "?") return "[^/]";
  return escaped.has(character) ? `\\${character}` : character;
}

function componentsMayMatch(pattern: readonly string[], directory: readonly string[]): boolean {
  for (const [index, name] of directory.entries()) {
    const component = pattern[index];
    if (component === undefined) return false;
    if (component.includes("**") || /[[\]\\^]/.test(component)) return true;
    if (!new Glob(component).matches(name)) return false;
  }
  return pattern.length > directory.length;
}
