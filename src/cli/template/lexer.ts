/** Tokens of Go's text/template (https://pkg.go.dev/text/template): text, and what stands between {{ and }}. */
import { HullError } from "../../platform/errors.ts";

export type Token =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "open" | "close" | "pipe" | "lparen" | "rparen" | "assign" | "declare" | "comma" }
  /** glued: no space before it, so it continues the operand on its left. */
  | { readonly kind: "field"; readonly text: string; readonly glued: boolean }
  | { readonly kind: "variable"; readonly text: string }
  | { readonly kind: "word"; readonly text: string }
  | { readonly kind: "string"; readonly text: string }
  | { readonly kind: "number"; readonly text: string }
  | { readonly kind: "dot" };

export const templateError = (message: string): HullError =>
  new HullError("invalid-argument", `template parsing error: template: :1: ${message}`);

/** Splits a template; trims around `{{-` and `-}}`; drops comments. */
export function lex(source: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  let trimNext = false;
  while (at < source.length) {
    const open = source.indexOf("{{", at);
    let text = open < 0 ? source.slice(at) : source.slice(at, open);
    if (trimNext) text = text.trimStart();
    const trimLeft = open >= 0 && /^-\s/.test(source.slice(open + 2, open + 4));
    if (trimLeft) text = text.trimEnd();
    if (text !== "") tokens.push({ kind: "text", text });
    if (open < 0) break;
    const action = lexAction(source, open + 2 + (trimLeft ? 1 : 0));
    if (!action.comment) tokens.push({ kind: "open" }, ...action.tokens, { kind: "close" });
    trimNext = action.trimRight;
    at = action.end;
  }
  return tokens;
}

interface Action {
  readonly tokens: Token[];
  readonly end: number;
  readonly trimRight: boolean;
  readonly comment: boolean;
}

const patterns: readonly (readonly [RegExp, (text: string) => Token])[] = [
  [/^:=/, () => ({ kind: "declare" })],
  [/^=/, () => ({ kind: "assign" })],
  [/^\|/, () => ({ kind: "pipe" })],
  [/^\(/, () => ({ kind: "lparen" })],
  [/^\)/, () => ({ kind: "rparen" })],
  [/^,/, () => ({ kind: "comma" })],
  [/^"(?:[^"\\\n]|\\.)*"/, (text) => ({ kind: "string", text: unquote(text) })],
  [/^`[^`]*`/, (text) => ({ kind: "string", text: text.slice(1, -1) })],
  [/^[-+]?\d[\w.]*/, (text) => ({ kind: "number", text })],
  [/^\$[\p{L}\d_]*/u, (text) => ({ kind: "variable", text })],
  [/^\.[\p{L}_][\p{L}\d_]*/u, (text) => ({ kind: "field", text: text.slice(1), glued: true })],
  [/^\./, () => ({ kind: "dot" })],
  [/^[\p{L}_][\p{L}\d_]*/u, (text) => ({ kind: "word", text })],
];

function lexAction(source: string, from: number): Action {
  const comment = /^\s*\/\*[\s\S]*?\*\/\s*(-?)\}\}/.exec(source.slice(from));
  if (comment) {
    return { tokens: [], end: from + comment[0].length, trimRight: comment[1] === "-", comment: true };
  }
  const tokens: Token[] = [];
  let at = from;
  let spaced = true;
  for (;;) {
    const rest = source.slice(at);
    const space = /^\s+/.exec(rest)?.[0].length ?? 0;
    const close = /^\s*(\s-)?\}\}/.exec(rest);
    if (close) return { tokens, end: at + close[0].length, trimRight: close[1] !== undefined, comment: false };
    if (space > 0) {
      at += space;
      spaced = true;
      continue;
    }
    if (rest === "") throw templateError("unclosed action");
    const token = nextToken(rest);
    tokens.push(token.token.kind === "field" ? { ...token.token, glued: !spaced } : token.token);
    at += token.length;
    spaced = false;
  }
}

function nextToken(rest: string): { token: Token; length: number } {
  for (const [pattern, make] of patterns) {
    const match = pattern.exec(rest);
    if (match) return { token: make(match[0]), length: match[0].length };
  }
  if (rest.startsWith('"')) throw templateError("unterminated quoted string");
  throw templateError(`unexpected ${JSON.stringify(rest[0])} in command`);
}

const escapes: Readonly<Record<string, string>> = { n: "\n", t: "\t", r: "\r", a: "\x07", b: "\b", f: "\f", v: "\v" };

function unquote(literal: string): string {
  return literal.slice(1, -1).replace(/\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)/g, (_, code: string) => {
    if (code.length > 1) return String.fromCodePoint(Number.parseInt(code.slice(1), 16));
    return escapes[code] ?? code;
  });
}
