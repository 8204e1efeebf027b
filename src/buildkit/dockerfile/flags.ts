/** The `--name=value` of instructions. */
import { complaint } from "./source-error.ts";
import { didYouMean } from "./suggest.ts";

/** text: once, with a value; texts: as often as wanted; flag: "--x", "--x=true", "--x=false". */
type FlagKind = "text" | "texts" | "flag";
export type FlagTable = Readonly<Record<string, FlagKind>>;

/** What was given: a flag's last value is asked for by name. */
export interface Flags {
  text(name: string): string;
  texts(name: string): readonly string[];
  flag(name: string): boolean | undefined;
}

/** The flags of an instruction that knows these; every other is refused. */
export function parseFlags(words: readonly string[], table: FlagTable): Flags {
  const given = new Map<string, string[]>();
  for (const word of words) {
    const equals = word.indexOf("=");
    const written = equals < 0 ? word : word.slice(0, equals);
    const name = written.slice(2);
    const kind = Object.hasOwn(table, name) ? table[name] : undefined;
    if (kind === undefined) {
      throw complaint(`unknown flag: ${written}${didYouMean(name, Object.keys(table))}`, written);
    }
    const values = given.get(name) ?? [];
    if (values.length > 0 && kind !== "texts") throw complaint(`duplicate flag specified: ${written}`, written);
    values.push(flagValue(word, written, kind));
    given.set(name, values);
  }
  return {
    text: (name) => given.get(name)?.[0] ?? "",
    texts: (name) => given.get(name) ?? [],
    flag: (name) => (given.has(name) ? given.get(name)![0] === "true" : undefined),
  };
}

function flagValue(word: string, written: string, kind: FlagKind): string {
  const value = word.length > written.length ? word.slice(written.length + 1) : undefined;
  if (kind !== "flag") {
    if (value === undefined) throw complaint(`missing a value on flag: ${written}`, written);
    return value;
  }
  if (value === "") throw complaint(`missing a value on flag: ${written}`, written);
  const truth = (value ?? "true").toLowerCase();
  if (truth === "true" || truth === "false") return truth;
  throw complaint(`expecting boolean value for flag ${written}, not: ${value}`, word);
}
