/** Goes through a text once and puts the variables in: what `expand` and its like are made of. */
import { HullError } from "../../platform/errors.ts";
import type { ExpandMode, Scope } from "./expand.ts";
import { substitute } from "./substitute.ts";
import { spaces } from "./text.ts";

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

/** A cursor over the text. */
export class Expander {
  readonly used = new Set<string>();
  readonly unset = new Set<string>();
  #at = 0;
  #depth = 0;
  #rawEscapes = false;

  constructor(
    private readonly text: string,
    private readonly scope: Scope,
    private readonly mode: ExpandMode,
  ) {}

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
    else out.split(this.#plain() || this.#next()!);
  }

  /** Up to the next character that may mean something, in whatever mode. */
  #plain(): string {
    const run = /[^$<'"\\`}/]+/y;
    run.lastIndex = this.#at;
    const text = run.exec(this.text)?.[0] ?? "";
    this.#at += text.length;
    return text;
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
    const end = this.text.indexOf("'", this.#at + 1);
    const inner = this.text.slice(this.#at + 1, end);
    this.#at = end < 0 ? this.text.length : end + 1;
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
      if (character !== mark) {
        result += this.#plain() || this.#next();
        continue;
      }
      this.#at++;
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
      this.#at += character.length;
    }
    return this.text.slice(start, this.#at);
  }

  #value(name: string): string | undefined {
    const value = this.scope.find(name);
    (value === undefined ? this.unset : this.used).add(name);
    return value;
  }

  /** A whole character, of two code units too. */
  #peek(): string | undefined {
    const point = this.text.codePointAt(this.#at);
    return point === undefined ? undefined : String.fromCodePoint(point);
  }

  #next(): string | undefined {
    const character = this.#peek();
    this.#at += character?.length ?? 0;
    return character;
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
    for (const [index, piece] of text.split(spaces).entries()) {
      if (index > 0) this.#end();
      this.#word += piece;
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
