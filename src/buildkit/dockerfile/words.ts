/** How an instruction's line is taken apart: keyword, flags, words, JSON arrays. Nothing is expanded. */
import { complaint } from "./source-error.ts";
import { isSpace, quoted, trim, trimStart } from "./text.ts";

type Escape = "\\" | "`";

export interface SplitLine {
  readonly keyword: string;
  /** "--from=build", quotes and escapes gone. */
  readonly flags: readonly string[];
  readonly rest: string;
}

/** "COPY --from=a b c" into keyword, flags and what is left. */
export function splitLine(line: string, escapeMark: Escape): SplitLine {
  const text = trim(line);
  const gap = /[\t\v\f\r ]+/.exec(text);
  if (gap === null) return { keyword: text, flags: [], rest: "" };
  const { flags, rest } = splitFlags(text.slice(gap.index + gap[0].length), escapeMark);
  return { keyword: text.slice(0, gap.index), flags, rest: trim(rest) };
}

/** Words that begin with "--"; a lone "--" ends them and is dropped. */
function splitFlags(text: string, escapeMark: Escape): { readonly flags: readonly string[]; readonly rest: string } {
  const flags: string[] = [];
  let at = 0;
  for (;;) {
    while (at < text.length && isSpace(text[at]!)) at++;
    if (!text.startsWith("--", at)) return { flags, rest: text.slice(at) };
    const flag = readFlag(text, at, escapeMark);
    at = flag.end;
    if (flag.word === "--") return { flags, rest: text.slice(at) };
    flags.push(flag.word);
  }
}

function readFlag(text: string, start: number, escapeMark: Escape): { readonly word: string; readonly end: number } {
  let word = "";
  let quote = "";
  let at = start;
  for (; at < text.length; at++) {
    const character = text[at]!;
    if (quote === "" && isSpace(character)) break;
    if (character === quote) quote = "";
    else if (quote === "" && (character === "'" || character === '"')) quote = character;
    else if (character === escapeMark) word += text[++at] ?? "";
    else word += character;
  }
  return { word, end: at };
}

/** Words between spaces; quotes mean nothing. */
export const wordsOf = (rest: string): readonly string[] => (rest === "" ? [] : rest.split(/[\t\v\f\r ]+/));

/** Words between spaces that are neither quoted nor escaped; quotes and escapes stay in them. */
export function quotedWordsOf(rest: string, escapeMark: Escape): readonly string[] {
  const words: string[] = [];
  let word = "";
  let quote = "";
  const end = (): void => {
    if (word !== "") words.push(word);
    word = "";
  };
  for (let at = 0; at < rest.length; at++) {
    const character = rest[at]!;
    if (quote === "" && isSpace(character)) {
      end();
    } else if (character === escapeMark && quote !== "'") {
      // At the end of the line it escapes nothing and is dropped.
      if (at + 1 < rest.length) word += character + rest[++at]!;
    } else {
      if (character === quote) quote = "";
      else if (quote === "" && (character === "'" || character === '"')) quote = character;
      word += character;
    }
  }
  end();
  return words;
}

/** The strings of a JSON array; undefined for what is no JSON array, which then is text. */
export function jsonArrayOf(rest: string): readonly string[] | undefined {
  const text = trimStart(rest);
  if (!text.startsWith("[")) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // By the rules of the language a broken array is a command for the shell: `CMD [ -f x ] && y`.
    return undefined;
  }
  if (!Array.isArray(value)) return undefined;
  return value.map((item: unknown) => {
    if (typeof item === "string") return item.toWellFormed();
    throw complaint("when using JSON array syntax, arrays must be comprised of strings only", String(item));
  });
}

export interface Pair {
  readonly name: string;
  readonly value: string;
  readonly legacy: boolean;
}

/** `a=b "c d"=e`, or `a b c` in the old form, whose value is all that follows. */
export function pairsOf(rest: string, keyword: string, escapeMark: Escape): readonly Pair[] {
  const words = quotedWordsOf(rest, escapeMark);
  if (words.length === 0) throw complaint(`${keyword} requires at least one argument`);
  if (!words[0]!.includes("=")) {
    const gap = /[\t\v\f\r ]+/.exec(rest);
    if (gap === null) throw complaint(`${keyword} must have two arguments`, rest);
    return [{ name: rest.slice(0, gap.index), value: rest.slice(gap.index + gap[0].length), legacy: true }];
  }
  return words.map((word) => {
    const equals = word.indexOf("=");
    if (equals < 0) {
      throw complaint(`Syntax error - can't find = in ${quoted(word)}. Must be of the form: name=value`, word);
    }
    if (equals === 0) throw complaint(`${keyword} names can not be blank`, word);
    return { name: word.slice(0, equals), value: word.slice(equals + 1), legacy: false };
  });
}
