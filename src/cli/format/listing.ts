/** Tables of list commands: `--format table|json|TEMPLATE`, default columns, `-q`. */
import { compile } from "../template/template.ts";
import { type Row, toJson, type Value } from "../template/value.ts";
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
    const template = compile(chosen.slice("table ".length));
    const lines = [headerRow(listing.fields), ...rows].map((row) => template.render(row));
    return `${alignTabs(lines.join("\n"))}\n`;
  }
  const template = compile(chosen);
  return rows.map((row) => `${template.render(row)}\n`).join("");
}

/** The shell passes `\t` and `\n` as they are written. */
export const unescapeTabs = (format: string): string => format.replaceAll("\\t", "\t").replaceAll("\\n", "\n");
