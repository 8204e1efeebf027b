/**
 * Variables and quotes in a Dockerfile's words, as a POSIX shell would do it with the exceptions that Docker has
 * (https://docs.docker.com/reference/dockerfile/#environment-replacement). Every failure is a HullError `invalid-argument`.
 */
import { HullError, messageOf } from "../../platform/errors.ts";
import { substitute } from "./substitute.ts";
import { isSpace, quoted } from "./text.ts";

/** The variables that a text may use. Being asked for a name is being told that it is used. */
export interface Scope {
  /** Undefined: not set (an empty value is set). */
  find(name: string): string | undefined;
}

export interface ExpandMode {
  /** The file's escape character. */
  readonly escape: "\\" | "`";
  /** Quotes stay in the text. */
  readonly rawQuotes?: boolean;
  /** Escape characters stay in the text. */
  readonly rawEscapes?: boolean;
  /** Quotes are characters like others (the bodies of here-documents). */
  readonly ignoreQuotes?: boolean;
  /** What names an unset variable stays as it is written. */
  readonly keepUnset?: boolean;
}

export interface Expansion {
  /** One word, spaces kept. */
  readonly text: string;
  /** The same split at spaces that are neither quoted nor escaped. */
  readonly words: readonly string[];
  readonly used: ReadonlySet<string>;
  /** Names that were asked for and are not set. */
  readonly unset: ReadonlySet<string>;
}

/** The mode for the body of a here-document that is not quoted: the file's escape character has no part in it. */
export const hereDocumentMode: ExpandMode = { escape: "\\", ignoreQuotes: true };

/** One word: `expand("${v:-a b}", scope, { escape: "\\" })` is "a b". */
export const expand = (text: string, scope: Scope, mode: ExpandMode): string => analyze(text, scope, mode).text;

/** Several words, split after the expansion, as EXPOSE has them. */
export const expandWords = (text: string, scope: Scope, mode: ExpandMode): readonly string[] =>
  analyze(text, scope, mode).words;

/** Everything there is to know about the expansion of a text. */
export function analyze(text: string, scope: Scope, mode: ExpandMode): Expansion {
  const expander = new Expander(text, scope, mode);
  try {
    const result = expander.until(undefined, mode.rawEscapes === true);
    return { ...result, used: expander.used, unset: expander.unset };
  } catch (error) {
    throw new HullError("invalid-argument", `failed to process ${quoted(text)}: ${messageOf(error)}`, { cause: error });
  }
}

/** Deep enough for what people write; without it a text of "${a:-${a:-..." ends in a stack overflow. */
const deepestNesting = 500;

const fail = (message: string): never => {
  throw new HullError("invalid-argument", message);
};

/** The variable of "${name...}" as the modifiers see it. */
interface Variable {
  readonly name: string;
  readonly value: string | undefined;
}

/** A cursor over the text's characters. */
class Expander {
  readonly used = new Set<string>();
  readonly unset = new Set<string>();
  readonly #characters: readonly string[];
  #at = 0;
  #depth = 0;
  #rawEscapes = false;

  constructor(
    text: string,
    private readonly scope: Scope,
    private readonly mode: ExpandMode,
  ) {
    this.#characters = Array.from(text);
  }

  /** What stands before the stop character, which is consumed; undefined stops at the end of the text. */
  until(stop: string | undefined, rawEscapes: boolean): { readonly text: string; readonly words: readonly string[] } {
    const outer = this.#rawEscapes;
    this.#rawEscapes = rawEscapes;
    const out = new Words();
    for (let character = this.#peek(); character !== undefined; character = this.#peek()) {
      if (character === stop) {
        this.#at++;
        this.#rawEscapes = outer;
        return out.finish();
      }
      this.#piece(character, out);
    }
    if (stop !== undefined) fail(`unexpected end of statement while looking for matching ${stop}`);
    this.#rawEscapes = outer;
    return out.finish();
  }

  #piece(character: string, out: Words): void {
    const quotes = this.mode.ignoreQuotes !== true;
    if (character === "$") out.split(this.#dollar());
    else if (character === "<") out.keep(this.#angle());
    else if (quotes && character === "'") out.keep(this.#singleQuotes());
    else if (quotes && character === '"') out.keep(this.#doubleQuotes());
    else if (character === this.mode.escape) this.#escaped(out);
    else {
      this.#at++;
      out.split(character);
    }
  }

  /** At the end of the text it escapes nothing. */
  #escaped(out: Words): void {
    this.#at++;
    if (this.#rawEscapes) out.keep(this.mode.escape);
    out.keep(this.#next() ?? "");
  }

  /** "<<" takes the spaces behind it into the word, so that "<< EOF" is one. */
  #angle(): string {
    this.#at++;
    if (this.#peek() !== "<") return "<";
    this.#at++;
    let result = "<<";
    for (let space = this.#peek(); space === " " || space === "\t" || space === "\r"; space = this.#peek()) {
      result += space;
      this.#at++;
    }
    return result;
  }

  #singleQuotes(): string {
    const end = this.#characters.indexOf("'", this.#at + 1);
    const inner = this.#characters.slice(this.#at + 1, end).join("");
    this.#at = end < 0 ? this.#characters.length : end + 1;
    if (end < 0) fail("unexpected end of statement while looking for matching single-quote");
    return this.mode.rawQuotes === true ? `'${inner}'` : inner;
  }

  #doubleQuotes(): string {
    const quote = this.mode.rawQuotes === true ? '"' : "";
    const mark = this.mode.escape;
    this.#at++;
    let result = quote;
    for (let character = this.#peek(); character !== '"'; character = this.#peek()) {
      if (character === undefined) fail("unexpected end of statement while looking for matching double-quote");
      if (character === "$") {
        result += this.#dollar();
        continue;
      }
      this.#at++;
      if (character !== mark) {
        result += character;
        continue;
      }
      const next = this.#peek();
      const escapes = next === '"' || next === "$" || next === mark;
      if (next === undefined) continue;
      if (this.#rawEscapes || !escapes) result += character;
      if (escapes) result += this.#next();
    }
    this.#at++;
    return result + quote;
  }

  #dollar(): string {
    this.#at++;
    if (this.#peek() === "{") return this.#braces();
    const name = this.#name();
    if (name === "") return "$";
    return this.#value(name) ?? (this.mode.keepUnset === true ? `$${name}` : "");
  }

  #braces(): string {
    if (++this.#depth > deepestNesting) fail(`substitutions are nested more than ${deepestNesting} deep`);
    this.#at++;
    const first = this.#peek();
    if (first === undefined) fail("syntax error: missing '}'");
    if (first === "{" || first === "}" || first === ":") fail("syntax error: bad substitution");
    const name = this.#name();
    const modifier = this.#next() ?? fail("syntax error: missing '}'");
    const result = this.#modified(name, modifier);
    this.#depth--;
    return result;
  }

  #modified(name: string, modifier: string): string {
    switch (modifier) {
      case "}":
        return this.#value(name) ?? (this.mode.keepUnset === true ? `\${${name}}` : "");
      case ":":
        return this.#withWord(name, `:${this.#next() ?? ""}`);
      case "+":
      case "-":
      case "?":
      case "#":
      case "%":
        return this.#withWord(name, modifier);
      case "/":
        return this.#replaced(name);
      default:
        return fail(`unsupported modifier (${modifier}) in substitution`);
    }
  }

  /** ${name-word} and its like. */
  #withWord(name: string, modifier: string): string {
    const trims = modifier === "#" || modifier === "%";
    if (modifier === ":#" || modifier === ":%") fail(`unsupported modifier (${modifier}) in substitution`);
    const word = this.#part("}", trims);
    const variable = { name, value: this.#value(name) };
    if (variable.value === undefined && this.mode.keepUnset === true) return `\${${name}${modifier}${word}}`;
    if (!trims) return chosen(variable, modifier, word);
    const longest = word.startsWith(modifier);
    const kind = modifier === "#" ? "prefix" : "suffix";
    return substitute(variable.value ?? "", { kind, pattern: longest ? word.slice(1) : word, longest });
  }

  /** ${name/pattern/replacement} and ${name//pattern/replacement}. */
  #replaced(name: string): string {
    const all = this.#peek() === "/";
    if (all) this.#at++;
    const pattern = this.#part("/", true);
    const replacement = this.#part("}", true);
    const value = this.#value(name);
    if (value === undefined && this.mode.keepUnset === true) {
      return `\${${name}/${all ? "/" : ""}${pattern}/${replacement}}`;
    }
    return substitute(value ?? "", { kind: "replace", pattern, replacement, all });
  }

  #part(stop: "}" | "/", rawEscapes: boolean): string {
    try {
      return this.until(stop, rawEscapes).text;
    } catch (error) {
      if (this.#peek() !== undefined) throw error;
      return fail(stop === "/" ? `syntax error: missing '/' in \${}` : "syntax error: missing '}'");
    }
  }

  /** Letters, digits and "_"; digits alone; or one special parameter. */
  #name(): string {
    const first = this.#peek();
    if (first === undefined) return "";
    if (isDigit(first)) return this.#while(isDigit);
    if ("@*#?-$!".includes(first)) {
      this.#at++;
      return first;
    }
    return this.#while(isNameCharacter);
  }

  #while(belongs: (character: string) => boolean): string {
    const start = this.#at;
    for (let character = this.#peek(); character !== undefined && belongs(character); character = this.#peek()) {
      this.#at++;
    }
    return this.#characters.slice(start, this.#at).join("");
  }

  #value(name: string): string | undefined {
    const value = this.scope.find(name);
    (value === undefined ? this.unset : this.used).add(name);
    return value;
  }

  #peek(): string | undefined {
    return this.#characters[this.#at];
  }

  #next(): string | undefined {
    return this.#characters[this.#at++];
  }
}

const isDigit = (character: string): boolean => /^\p{Nd}$/u.test(character);
const isNameCharacter = (character: string): boolean => /^[\p{L}\p{Nd}_]$/u.test(character);

function chosen({ name, value }: Variable, modifier: string, word: string): string {
  const colon = modifier.startsWith(":");
  const missing = value === undefined || (colon && value === "");
  switch (colon ? modifier.slice(1) : modifier) {
    case "-":
      return missing ? word : value;
    case "+":
      return missing ? "" : word;
    case "?":
      if (!missing) return value;
      return fail(`${name}: ${word || `is not allowed to be ${value === undefined ? "unset" : "empty"}`}`);
    default:
      return fail(`unsupported modifier (${modifier}) in substitution`);
  }
}

/** The result as one text and as words. */
class Words {
  #text = "";
  #word = "";
  readonly #words: string[] = [];

  /** Quoted or escaped: spaces belong to the word. */
  keep(text: string): void {
    this.#text += text;
    this.#word += text;
  }

  /** Spaces end the word. */
  split(text: string): void {
    this.#text += text;
    for (const character of text) {
      if (isSpace(character)) this.#end();
      else this.#word += character;
    }
  }

  finish(): { readonly text: string; readonly words: readonly string[] } {
    this.#end();
    return { text: this.#text, words: this.#words };
  }

  #end(): void {
    if (this.#word !== "") this.#words.push(this.#word);
    this.#word = "";
  }
}
