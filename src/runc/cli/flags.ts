/** Command lines as runc takes them: `--name value`, `--name=value`, one or two dashes, options before arguments. Pure. */
import { HullError } from "../../platform/errors.ts";

/** `list` collects repeated values. Aliases are other names ("b" of "bundle"). */
export interface FlagShape {
  readonly kind: "switch" | "text" | "list";
  readonly aliases?: readonly string[];
}
export type FlagShapes = Readonly<Record<string, FlagShape>>;

export interface ParsedFlags {
  readonly texts: ReadonlyMap<string, readonly string[]>;
  readonly rest: readonly string[];
}

export const text = (flags: ParsedFlags, name: string): string | undefined => flags.texts.get(name)?.at(-1);
export const texts = (flags: ParsedFlags, name: string): readonly string[] => flags.texts.get(name) ?? [];
export const isOn = (flags: ParsedFlags, name: string): boolean => text(flags, name) === "true";

/** A whole number in a flag; `fallback` when it is not given. Throws invalid-argument. */
export function number(flags: ParsedFlags, name: string, fallback: number): number {
  const value = text(flags, name);
  if (value === undefined || value === "") return fallback;
  if (!/^-?\d+$/.test(value))
    throw new HullError("invalid-argument", `invalid value "${value}" for flag -${name}: parse error`);
  return Number(value);
}

function find(shapes: FlagShapes, name: string): readonly [string, FlagShape] {
  const entry = Object.entries(shapes).find(([full, { aliases }]) => full === name || aliases?.includes(name));
  if (!entry) throw new HullError("invalid-argument", `flag provided but not defined: -${name}`);
  return entry;
}

/** Up to the first argument that is no flag; "--" ends them. */
export function parseFlags(shapes: FlagShapes, argv: readonly string[]): ParsedFlags {
  const found = new Map<string, string[]>();
  let at = 0;
  for (; at < argv.length; at++) {
    const word = argv[at]!;
    if (word === "--") {
      at++;
      break;
    }
    if (!word.startsWith("-") || word === "-") break;
    const [given, inline] = split(word.replace(/^--?/, ""));
    const [name, { kind }] = find(shapes, given);
    const value = kind === "switch" ? (inline ?? "true") : (inline ?? argv[++at]);
    if (value === undefined) throw new HullError("invalid-argument", `flag needs an argument: -${given}`);
    if (kind === "switch" && !["true", "false", "1", "0"].includes(value))
      throw new HullError("invalid-argument", `invalid boolean value "${value}" for -${given}: parse error`);
    const kept = kind === "switch" ? (["true", "1"].includes(value) ? "true" : "false") : value;
    found.set(name, kind === "list" ? [...(found.get(name) ?? []), kept] : [kept]);
  }
  return { texts: found, rest: argv.slice(at) };
}

function split(word: string): [string, string | undefined] {
  const equals = word.indexOf("=");
  return equals < 0 ? [word, undefined] : [word.slice(0, equals), word.slice(equals + 1)];
}
