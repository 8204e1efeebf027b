/**
 * containerd's filter language (its package filters): selectors joined by commas must all hold; of several filters one must. A
 * selector is a field path alone (present), or path==value, path!=value, path~=regexp. Values may be quoted with
 * "..." or, after ~=, enclosed in any punctuation such as |...| or /.../. Throws `invalid-argument`.
 */
import { HullError } from "../../platform/errors.ts";

/** Value at a field path ("labels", "a.b"); undefined when absent. */
export type FieldReader = (path: readonly string[]) => string | undefined;
export type Filter = (read: FieldReader) => boolean;

/** No filters: everything matches. */
export function parseFilters(texts: readonly string[]): Filter {
  const filters = texts.filter((text) => text !== "").map(parseFilter);
  return filters.length === 0 ? () => true : (read) => filters.some((filter) => filter(read));
}

function parseFilter(text: string): Filter {
  const cursor = { text, at: 0 };
  const selectors: Filter[] = [];
  do selectors.push(parseSelector(cursor));
  while (take(cursor, ","));
  if (cursor.at !== text.length) throw malformed(cursor);
  return (read) => selectors.every((selector) => selector(read));
}

interface Cursor {
  readonly text: string;
  at: number;
}

function parseSelector(cursor: Cursor): Filter {
  const path = [parseField(cursor)];
  while (take(cursor, ".")) path.push(parseField(cursor));
  const operator = ["==", "!=", "~="].find((symbol) => take(cursor, symbol));
  if (operator === undefined) return (read) => read(path) !== undefined && read(path) !== "";
  const value = parseValue(cursor, operator === "~=");
  if (operator === "==") return (read) => read(path) === value;
  if (operator === "!=") return (read) => read(path) !== value;
  const pattern = toRegExp(value);
  return (read) => pattern.test(read(path) ?? "");
}

function parseField(cursor: Cursor): string {
  return cursor.text[cursor.at] === '"' ? parseQuoted(cursor) : match(cursor, /[A-Za-z0-9_]+/y);
}

function parseValue(cursor: Cursor, anyQuote: boolean): string {
  const first = cursor.text[cursor.at] ?? "";
  if (first === '"') return parseQuoted(cursor);
  if (anyQuote && /[|/!~^%]/.test(first)) return parseEnclosed(cursor, first);
  return match(cursor, /[^,]*/y);
}

function parseQuoted(cursor: Cursor): string {
  const literal = match(cursor, /"(?:[^"\\]|\\.)*"/y);
  try {
    return JSON.parse(literal) as string;
  } catch {
    throw malformed(cursor);
  }
}

function parseEnclosed(cursor: Cursor, mark: string): string {
  let value = "";
  for (cursor.at += 1; cursor.text[cursor.at] !== mark; cursor.at += 1) {
    if (cursor.at >= cursor.text.length) throw malformed(cursor);
    if (cursor.text[cursor.at] === "\\" && cursor.text[cursor.at + 1] === mark) cursor.at += 1;
    value += cursor.text[cursor.at];
  }
  cursor.at += 1;
  return value;
}

function match(cursor: Cursor, pattern: RegExp): string {
  pattern.lastIndex = cursor.at;
  const found = pattern.exec(cursor.text);
  if (!found) throw malformed(cursor);
  cursor.at = pattern.lastIndex;
  return found[0];
}

function take(cursor: Cursor, symbol: string): boolean {
  if (!cursor.text.startsWith(symbol, cursor.at)) return false;
  cursor.at += symbol.length;
  return true;
}

function toRegExp(source: string): RegExp {
  try {
    return new RegExp(source);
  } catch (error) {
    throw new HullError("invalid-argument", `filter: invalid regular expression ${source}`, { cause: error });
  }
}

const malformed = (cursor: Cursor): HullError =>
  new HullError("invalid-argument", `filter "${cursor.text}": unexpected text at character ${cursor.at + 1}`);

/** Reader of flat fields and of string maps such as labels. */
export function fieldsOf(
  fields: Readonly<Record<string, string | Readonly<Record<string, string>> | undefined>>,
): FieldReader {
  return ([first, ...rest]) => {
    const value = first === undefined ? undefined : fields[first];
    if (typeof value === "string") return rest.length === 0 ? value : undefined;
    return value?.[rest.join(".")];
  };
}
