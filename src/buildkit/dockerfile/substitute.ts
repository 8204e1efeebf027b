/**
 * The pattern substitutions of "${v#p}", "${v%p}" and "${v/p/r}": "*" is any text, "?" one character, "\" makes either plain.
 * Segments between stars are searched one after the other, so that no pattern takes exponential time.
 */
import { HullError } from "../../platform/errors.ts";

export type Substitution =
  | { readonly kind: "prefix" | "suffix"; readonly pattern: string; readonly longest: boolean }
  | { readonly kind: "replace"; readonly pattern: string; readonly replacement: string; readonly all: boolean };

/** A character, or undefined for "?". */
type Token = string | undefined;
/** What stands between the stars: one segment more than there are stars. */
type Pattern = readonly (readonly Token[])[];

/** The value after the substitution. */
export function substitute(value: string, how: Substitution): string {
  const pattern = parsePattern(how.pattern);
  const characters = Array.from(value);
  if (how.kind === "replace") return replace(characters, pattern, how);
  if (how.kind === "prefix") {
    return characters.slice(matchAt(characters, pattern, { start: 0, longest: how.longest }) ?? 0).join("");
  }
  const backwards = pattern.map((segment) => [...segment].reverse()).reverse();
  const end = matchAt([...characters].reverse(), backwards, { start: 0, longest: how.longest }) ?? 0;
  return characters.slice(0, characters.length - end).join("");
}

function parsePattern(text: string): Pattern {
  const segments: Token[][] = [[]];
  const characters = Array.from(text);
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at]!;
    const segment = segments.at(-1)!;
    if (character === "*") segments.push([]);
    else if (character === "?") segment.push(undefined);
    else if (character !== "\\") segment.push(character);
    else segment.push(escaped(characters[++at], text));
  }
  return segments;
}

/** Only the pattern's own characters and the ones that would end it can be escaped. */
function escaped(character: string | undefined, pattern: string): string {
  if (character !== undefined && "*?\\}/".includes(character)) return character;
  const what = character === undefined ? "at its end" : `'\\${character}'`;
  throw new HullError("invalid-argument", `invalid pattern (${pattern}) in substitution: invalid escape ${what}`);
}

/** Where a match that begins at `start` ends. */
function matchAt(
  value: readonly string[],
  pattern: Pattern,
  { start, longest }: { readonly start: number; readonly longest: boolean },
): number | undefined {
  const [first, ...rest] = pattern;
  if (!fits(value, first!, start)) return undefined;
  let at = start + first!.length;
  for (const [index, segment] of rest.entries()) {
    const found = longest && index === rest.length - 1 ? findLast(value, segment, at) : findFirst(value, segment, at);
    if (found === undefined) return undefined;
    at = found + segment.length;
  }
  return at;
}

const fits = (value: readonly string[], segment: readonly Token[], at: number): boolean =>
  at + segment.length <= value.length &&
  segment.every((token, index) => token === undefined || token === value[at + index]);

function findFirst(value: readonly string[], segment: readonly Token[], from: number): number | undefined {
  for (let at = from; at + segment.length <= value.length; at++) if (fits(value, segment, at)) return at;
  return undefined;
}

function findLast(value: readonly string[], segment: readonly Token[], from: number): number | undefined {
  for (let at = value.length - segment.length; at >= from; at--) if (fits(value, segment, at)) return at;
  return undefined;
}

/** The leftmost match, as long as it can be; with `all` every one that does not touch the one before as an empty match. */
function replace(
  value: readonly string[],
  pattern: Pattern,
  { replacement, all }: { readonly replacement: string; readonly all: boolean },
): string {
  let result = "";
  let kept = 0;
  for (let at = 0; at <= value.length; ) {
    const start = findFirst(value, pattern[0]!, at);
    const end = start === undefined ? undefined : matchAt(value, pattern, { start, longest: true });
    if (start === undefined || end === undefined) break;
    if (end > start || start > kept || kept === 0) {
      result += value.slice(kept, start).join("") + replacement;
      kept = end;
      if (!all) break;
    }
    at = end > start ? end : start + 1;
  }
  return result + value.slice(kept).join("");
}
