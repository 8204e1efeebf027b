/** The part of Go's regular expressions that ignore patterns can become, as JavaScript's. */
import { badPattern } from "./glob.ts";

/** Throws invalid-argument where Go refuses it. */
export function goRegExp(source: string): RegExp {
  const characters = [...source];
  let result = "";
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at]!;
    if (character === "[") {
      const parsed = parseClass(characters, at + 1);
      result += parsed.source;
      at = parsed.end;
    } else if (character === "{") {
      const repeat = repetition(characters.slice(at).join(""));
      if (repeat !== undefined) result = repeated(result, repeat);
      else result += literal(character);
      at += (repeat?.length ?? 1) - 1;
    } else if (character === "\\") result += escapeSequence(characters[++at]);
    else if (character === ".") result += "[^\\n]";
    else result += "^$()?*|".includes(character) ? character : literal(character);
  }
  return compile(result);
}

function compile(source: string): RegExp {
  try {
    return new RegExp(source, "u");
  } catch (error) {
    throw Object.assign(badPattern(), { cause: error });
  }
}

/** "{2}", "{2,}" or "{2,3}" at the beginning; anything else in braces is text. */
function repetition(text: string): string | undefined {
  const found = /^\{(\d+)(?:,(\d*))?\}/.exec(text);
  if (found === null || /^0\d/.test(found[1]!) || /^0\d/.test(found[2] ?? "")) return undefined;
  const [least, most] = [Number(found[1]), Number(found[2] || found[1])];
  if (least > mostRepetitions || most > mostRepetitions || most < least) throw badPattern();
  return found[0];
}

const mostRepetitions = 1000;

/** JavaScript does not repeat anchors. */
function repeated(result: string, repeat: string): string {
  const anchor = /(?:^|[^\\])([\^$]|\\[bB])$/.exec(result)?.[1];
  return anchor === undefined ? result + repeat : `${result.slice(0, -anchor.length)}(?:${anchor})${repeat}`;
}

const literal = (character: string) => `\\u{${character.codePointAt(0)!.toString(16)}}`;

const classOfLetter: Readonly<Record<string, string>> = {
  d: "0-9",
  s: "\\t\\n\\f\\r ",
  w: "0-9A-Za-z_",
};

const controlOfLetter: Readonly<Record<string, string>> = {
  a: "\\x07",
  f: "\\f",
  n: "\\n",
  r: "\\r",
  t: "\\t",
  v: "\\v",
};

/** Outside of a class. */
function escapeSequence(character: string | undefined): string {
  if (character === "A") return "^";
  if (character === "z") return "$";
  if (character === "b" || character === "B") return `\\${character}`;
  const set = classOfLetter[character?.toLowerCase() ?? ""];
  if (set !== undefined) return character === character!.toLowerCase() ? `[${set}]` : `[^${set}]`;
  return single(character);
}

/** A letter that means one character, or punctuation that means itself. */
function single(character: string | undefined): string {
  if (character === undefined || character > "\x7f") throw badPattern();
  const control = controlOfLetter[character];
  if (control !== undefined) return control;
  if (/[0-9A-Za-z]/.test(character)) throw badPattern();
  return literal(character);
}

const posixClasses: Readonly<Record<string, string>> = {
  alnum: "0-9A-Za-z",
  alpha: "A-Za-z",
  ascii: "\\x00-\\x7f",
  blank: "\\t ",
  cntrl: "\\x00-\\x1f\\x7f",
  digit: "0-9",
  graph: "!-~",
  lower: "a-z",
  print: "\\x20-~",
  punct: "!-\\/:-@\\[-`\\{-~",
  space: "\\t\\n\\v\\f\\r ",
  upper: "A-Z",
  word: "0-9A-Za-z_",
  xdigit: "0-9A-Fa-f",
};

/** From behind "["; `end` is where "]" stands. A "]" that comes first is a character. */
function parseClass(characters: readonly string[], start: number): { readonly source: string; readonly end: number } {
  const negated = characters[start] === "^";
  let at = negated ? start + 1 : start;
  let source = negated ? "[^" : "[";
  for (let first = true; first || characters[at] !== "]"; first = false) {
    if (at >= characters.length) throw badPattern();
    const named = namedSet(characters, at);
    if (named !== undefined) {
      source += named.source;
      at = named.end;
      continue;
    }
    const low = element(characters, at);
    at = low.end;
    source += low.source;
    if (characters[at] === "-" && characters[at + 1] !== "]" && characters[at + 1] !== undefined) {
      const high = element(characters, at + 1);
      source += `-${high.source}`;
      at = high.end;
    }
  }
  return { source: `${source}]`, end: at };
}

interface ClassPart {
  readonly source: string;
  readonly end: number;
}

/** "[:alpha:]" and "\d" within a class. */
function namedSet(characters: readonly string[], at: number): ClassPart | undefined {
  if (characters[at] === "[" && characters[at + 1] === ":") {
    const end = characters.findIndex(
      (_, index) => index > at + 1 && characters[index] === ":" && characters[index + 1] === "]",
    );
    if (end < 0) return undefined;
    const set = posixClasses[characters.slice(at + 2, end).join("")];
    if (set === undefined) throw badPattern();
    return { source: set, end: end + 2 };
  }
  const letter = characters[at] === "\\" ? (characters[at + 1] ?? "") : "";
  const set = classOfLetter[letter.toLowerCase()];
  if (set === undefined) return undefined;
  if (letter !== letter.toLowerCase()) return { source: `\\${letter}`, end: at + 2 };
  return { source: set, end: at + 2 };
}

function element(characters: readonly string[], at: number): ClassPart {
  const character = characters[at];
  if (character === undefined) throw badPattern();
  if (character === "\\") return { source: single(characters[at + 1]), end: at + 2 };
  return { source: literal(character), end: at + 1 };
}
