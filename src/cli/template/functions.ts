/** The functions a template may call: text/template's own and docker's. */
import { HullError } from "../../platform/errors.ts";
import { fieldOf, formatGo, isPlainObject, isRow, isTrue, toJson, type Value } from "./value.ts";

export type TemplateFunction = (args: readonly Value[]) => Value;

const fail = (message: string): never => {
  throw new HullError("invalid-argument", `template: :1: executing "" : ${message}`);
};

const text = (value: Value): string => (typeof value === "string" ? value : formatGo(value));

function index(args: readonly Value[]): Value {
  let value = args[0];
  for (const key of args.slice(1)) {
    if (Array.isArray(value)) {
      const position = Number(key);
      if (!(position >= 0 && position < value.length)) fail(`error calling index: index out of range: ${position}`);
      value = value[position];
    } else if (typeof value === "string") {
      value = value.charCodeAt(Number(key));
    } else if (isPlainObject(value) || isRow(value)) {
      value = fieldOf(value, text(key)) ?? "";
    } else {
      fail("error calling index: index of untyped nil");
    }
  }
  return value;
}

function length(value: Value): number {
  if (typeof value === "string") return Buffer.byteLength(value);
  if (Array.isArray(value)) return value.length;
  if (isPlainObject(value)) return Object.keys(value).length;
  return fail(`error calling len: len of type ${value === null ? "nil" : typeof value}`);
}

function compare(left: Value, right: Value): number {
  if (typeof left === "number" && typeof right === "number") return left - right;
  if (typeof left === "string" && typeof right === "string") return left < right ? -1 : left > right ? 1 : 0;
  return fail("error calling lt: incompatible types for comparison");
}

function equal([left, ...rest]: readonly Value[]): boolean {
  return rest.some((right) => left === right || (left == null && right == null));
}

function slice([value, from, to]: readonly Value[]): Value {
  const range = [Number(from ?? 0), to === undefined ? undefined : Number(to)] as const;
  if (typeof value === "string" || Array.isArray(value)) return value.slice(...range);
  return fail("error calling slice: can't slice item");
}

/** fmt.Sprintf for the verbs people use in formats. */
export function sprintf(format: string, args: readonly Value[]): string {
  let at = 0;
  const out = format.replace(
    /%([-+ 0#]*)(\d*)(?:\.(\d+))?([vsdqxXfTt%])/g,
    (_, flags: string, width: string, precision: string | undefined, verb: string) => {
      if (verb === "%") return "%";
      if (at >= args.length) return `%!${verb}(MISSING)`;
      const shown = formatVerb(verb, args[at++], precision);
      if (width === "") return shown;
      return flags.includes("-")
        ? shown.padEnd(Number(width))
        : shown.padStart(Number(width), flags.includes("0") ? "0" : " ");
    },
  );
  return out;
}

function formatVerb(verb: string, value: Value, precision: string | undefined): string {
  switch (verb) {
    case "q":
      return JSON.stringify(text(value));
    case "d":
      return typeof value === "number" || typeof value === "bigint"
        ? String(value)
        : `%!d(${typeof value}=${text(value)})`;
    case "x":
    case "X": {
      const hex = typeof value === "number" ? value.toString(16) : Buffer.from(text(value)).toString("hex");
      return verb === "X" ? hex.toUpperCase() : hex;
    }
    case "f":
      return Number(value).toFixed(Number(precision ?? 6));
    default:
      return precision === undefined ? text(value) : text(value).slice(0, Number(precision));
  }
}

/** fmt.Print: a space between operands when neither is a string. */
function print(args: readonly Value[]): string {
  return args
    .map((arg, i) => {
      const gap = i > 0 && typeof arg !== "string" && typeof args[i - 1] !== "string" ? " " : "";
      return gap + text(arg);
    })
    .join("");
}

const title = (value: string): string => value.replace(/(^|\s)\S/g, (letter) => letter.toUpperCase());

export const functions: Readonly<Record<string, TemplateFunction>> = {
  and: (args) => args.find((arg) => !isTrue(arg)) ?? args.at(-1),
  or: (args) => args.find(isTrue) ?? args.at(-1),
  not: ([value]) => !isTrue(value),
  len: ([value]) => length(value),
  index,
  slice,
  eq: equal,
  ne: (args) => !equal(args),
  lt: ([left, right]) => compare(left, right) < 0,
  le: ([left, right]) => compare(left, right) <= 0,
  gt: ([left, right]) => compare(left, right) > 0,
  ge: ([left, right]) => compare(left, right) >= 0,
  print,
  println: (args) => `${args.map(text).join(" ")}\n`,
  printf: ([format, ...args]) => sprintf(text(format), args),
  html: (args) => print(args).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`),
  urlquery: (args) => encodeURIComponent(print(args)),
  json: ([value]) => toJson(value),
  split: ([value, separator]) => text(value).split(text(separator)),
  join: ([list, separator]) => (Array.isArray(list) ? list.map(text).join(text(separator)) : text(list)),
  title: ([value]) => title(text(value)),
  lower: ([value]) => text(value).toLowerCase(),
  upper: ([value]) => text(value).toUpperCase(),
  pad: ([value, before, after]) =>
    text(value) === "" ? "" : " ".repeat(Number(before)) + text(value) + " ".repeat(Number(after)),
  truncate: ([value, size]) => text(value).slice(0, Number(size)),
};
