/** Go's filepath.Match and filepath.Clean on Linux: what wildcards of COPY and the syntax of ignore patterns mean. */
import { posix } from "node:path";
import { HullError } from "../../platform/errors.ts";

/** The shortest text of a path: no ".", no inner "..", no doubled or trailing slash; "." for nothing. */
export function cleanPath(path: string): string {
  const clean = posix.normalize(path);
  return clean.length > 1 && clean.endsWith("/") ? clean.slice(0, -1) : clean;
}

/** What a path means when the tree's root is "/", without the leading slash: "" is the root, ".." stays in it. */
export const cleanInRoot = (path: string): string => cleanPath(`/${path}`).slice(1);

/** A backslash takes its meaning from what follows it. */
export function hasWildcard(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    if (text[at] === "\\") at++;
    else if ("*?[".includes(text[at]!)) return true;
  }
  return false;
}

type Token =
  | { readonly kind: "literal"; readonly code: number }
  | { readonly kind: "any" | "star" }
  | { readonly kind: "class"; readonly negated: boolean; readonly ranges: readonly (readonly [number, number])[] };

const slash = 0x2f;

/** A compiled pattern: "*" and "?" stop at "/", "[a-z]" and "[^a-z]" do not. */
export class Glob {
  readonly #tokens: readonly Token[];
  /** Of a text that matches; undefined where a class can be one. */
  readonly #slashes: number | undefined;

  /** Throws invalid-argument in Go's words. */
  constructor(pattern: string) {
    this.#tokens = parseGlob(codesOf(pattern));
    const hasClass = this.#tokens.some(({ kind }) => kind === "class");
    const slashes = this.#tokens.filter((token) => token.kind === "literal" && token.code === slash).length;
    this.#slashes = hasClass ? undefined : slashes;
  }

  /** The whole text must match. */
  matches(text: string): boolean {
    if (this.#slashes !== undefined && !hasSlashes(text, this.#slashes)) return false;
    const codes = codesOf(text);
    const tokens = this.#tokens;
    let [token, at] = [0, 0];
    let [starToken, starAt] = [-1, 0];
    while (at < codes.length || token < tokens.length) {
      const wanted = tokens[token];
      if (wanted?.kind === "star") {
        [starToken, starAt] = [token, at];
        token++;
      } else if (wanted !== undefined && at < codes.length && accepts(wanted, codes[at]!)) {
        token++;
        at++;
      } else if (starToken >= 0 && starAt < codes.length && codes[starAt] !== slash) {
        starAt++;
        [token, at] = [starToken + 1, starAt];
      } else return false;
    }
    return true;
  }
}

function hasSlashes(text: string, count: number): boolean {
  let at = -1;
  for (let left = count; left >= 0; left--) {
    at = text.indexOf("/", at + 1);
    if (at < 0) return left === 0;
  }
  return false;
}

function accepts(token: Token, code: number): boolean {
  if (token.kind === "literal") return token.code === code;
  if (token.kind !== "class") return code !== slash;
  return token.ranges.some(([low, high]) => low <= code && code <= high) !== token.negated;
}

export const badPattern = (): HullError => new HullError("invalid-argument", "syntax error in pattern");

/**
 * filepath.Match's check of a pattern as ignore files have it made: of the parts between stars up to the first that "." does not match.
 * Throws invalid-argument.
 */
export function checkIgnoreSyntax(pattern: string): void {
  let rest = ".";
  const parts = starParts(pattern);
  for (const [index, { text, afterStar }] of parts.entries()) {
    if (text === "") return;
    const tokens = parseGlob(codesOf(text));
    const isLast = index === parts.length - 1;
    const starts = afterStar ? [...rest].map((_, start) => start).concat(rest.length) : [0];
    const next = starts
      .map((start) => afterPrefix(tokens, rest.slice(start)))
      .find((left) => left === "" || (!isLast && left !== undefined));
    if (next === undefined) return;
    rest = next;
  }
}

/** What is left of a text of ASCII characters once the tokens matched its beginning. */
function afterPrefix(tokens: readonly Token[], text: string): string | undefined {
  const matched =
    tokens.length <= text.length && tokens.every((token, index) => accepts(token, text.charCodeAt(index)));
  return matched ? text.slice(tokens.length) : undefined;
}

function starParts(pattern: string): { readonly text: string; readonly afterStar: boolean }[] {
  const parts = [{ text: "", afterStar: false }];
  let inClass = false;
  for (let at = 0; at < pattern.length; at++) {
    const character = pattern[at]!;
    const last = parts.at(-1)!;
    if (character === "*" && !inClass) {
      if (last.text === "") last.afterStar = true;
      else parts.push({ text: "", afterStar: true });
      continue;
    }
    last.text += character;
    if (character === "[") inClass = true;
    else if (character === "]") inClass = false;
    else if (character === "\\" && at + 1 < pattern.length) last.text += pattern[++at];
  }
  return parts;
}

const codesOf = (text: string) => Array.from(text, (character) => character.codePointAt(0)!);

const [star, questionMark, opening, closing, backslash, caret, dash] = [..."*?[]\\^-"].map((c) => c.charCodeAt(0));

function parseGlob(codes: readonly number[]): Token[] {
  const tokens: Token[] = [];
  for (let at = 0; at < codes.length; at++) {
    const code = codes[at]!;
    if (code === star) {
      if (tokens.at(-1)?.kind !== "star") tokens.push({ kind: "star" });
    } else if (code === questionMark) tokens.push({ kind: "any" });
    else if (code === opening) {
      const parsed = parseClass(codes, at + 1);
      tokens.push(parsed.token);
      at = parsed.end;
    } else if (code === backslash) {
      if (++at >= codes.length) throw badPattern();
      tokens.push({ kind: "literal", code: codes[at]! });
    } else tokens.push({ kind: "literal", code });
  }
  return tokens;
}

/** `end` is where "]" stands. */
function parseClass(codes: readonly number[], start: number): { readonly token: Token; readonly end: number } {
  const negated = codes[start] === caret;
  const ranges: [number, number][] = [];
  let at = negated ? start + 1 : start;
  const element = (): number => {
    const code = codes[at++];
    const literal = code === backslash ? codes[at++] : code;
    if (literal === undefined || code === dash || code === closing || at >= codes.length) throw badPattern();
    return literal;
  };
  while (ranges.length === 0 || codes[at] !== closing) {
    const low = element();
    if (codes[at] !== dash) ranges.push([low, low]);
    else {
      at++;
      ranges.push([low, element()]);
    }
  }
  return { token: { kind: "class", negated, ranges }, end: at };
}
