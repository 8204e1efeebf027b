/** Tables of list commands: `--format table|json|TEMPLATE`, default columns, `-q`. */
import { compile } from "../template/template.ts";
import { formatGo, formatNil, type Row, toJson, type Value } from "../template/value.ts";
import { alignTabs } from "./tabs.ts";

/** The fields a list's rows have: header and value by name. */
export type Fields<T> = Readonly<Record<string, Field<T>>>;

export interface Field<T> {
  readonly header: string;
  readonly value: (item: T, args: readonly Value[]) => Value;
  /** A method with arguments (`.Label "key"`): not part of `--format json`. */
  readonly hidden?: boolean;
}

export interface Listing<T> {
  readonly fields: Fields<T>;
  /** The default table: "table {{.ID}}\t{{.Names}}". */
  readonly table: string;
}

export function rowOf<T>(fields: Fields<T>, item: T): Row {
  return {
    isRow: true,
    get: (name, args) => fields[name]?.value(item, args),
    names: () =>
      Object.keys(fields)
        .filter((name) => !fields[name]!.hidden)
        .sort(),
  };
}

function headerRow<T>(fields: Fields<T>): Row {
  const known = rowOf(fields, undefined as T);
  return {
    ...known,
    get: (name, args) => (args.length > 0 ? String(args[0]) : (fields[name]?.header ?? "<no value>")),
  };
}

/** The text of a whole list, with its final newline unless it is empty. */
export function formatList<T>(listing: Listing<T>, items: readonly T[], format: string | undefined): string {
  const chosen = format === undefined || format === "table" ? listing.table : unescapeTabs(format);
  const rows = items.map((item) => rowOf(listing.fields, item));
  if (chosen === "json") return rows.map((row) => `${toJson(row)}\n`).join("");
  if (chosen.startsWith("table ")) {
    const line = lineOf(chosen.slice("table ".length), listing.fields);
    const lines = [headerRow(listing.fields), ...rows].map(line);
    return `${alignTabs(lines.join("\n"))}\n`;
  }
  const template = compile(chosen);
  return rows.map((row) => `${template.render(row)}\n`).join("");
}

/** Renders a row of a table. One of nothing but known fields, as the default ones are, needs no template. */
function lineOf(source: string, fields: Fields<never>): (row: Row) => string {
  const names = source.split("\t").map((cell) => /^\{\{\.(\w+)\}\}$/.exec(cell)?.[1] ?? "");
  if (!names.every((name) => Object.hasOwn(fields, name))) {
    const template = compile(source);
    return (row) => template.render(row);
  }
  const cellOf = (row: Row, name: string): string => {
    const value = row.get(name, []);
    return value === null ? formatNil(name) : formatGo(value);
  };
  return (row) => names.map((name) => cellOf(row, name)).join("\t");
}

/** The shell passes `\t` and `\n` as they are written. */
export const unescapeTabs = (format: string): string => format.replaceAll("\\t", "\t").replaceAll("\\n", "\n");
