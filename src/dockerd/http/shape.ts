/**
 * Decodes JSON as Go's encoding/json does into declared shapes: keys in any case, unknown keys ignored, null and absent give the zero value,
 * a wrong type is refused with Go's sentence. A shape is a value; its TypeScript type is inferred (`Decoded<typeof shape>`).
 */
import { HullError } from "../../platform/errors.ts";

export interface Shape<T> {
  /** Go's name of the type, for messages. */
  readonly goType: string;
  zero(): T;
  decode(value: unknown, at: Place): T;
}

/** Where a value stands: Go names the innermost struct and the path of fields from the top. */
export interface Place {
  readonly struct: string;
  readonly path: string;
}

export type Decoded<S> = S extends Shape<infer T> ? T : never;

function mismatch(value: unknown, goType: string, at: Place): HullError {
  const found = Array.isArray(value) ? "array" : value === null ? "null" : kinds[typeof value];
  const text = typeof value === "number" && goType !== "string" ? `number ${value}` : found;
  const where = at.path === "" ? "Go value" : `Go struct field ${at.struct}.${at.path}`;
  return new HullError("invalid-argument", `json: cannot unmarshal ${text} into ${where} of type ${goType}`);
}

const kinds: Readonly<Record<string, string>> = {
  string: "string",
  number: "number",
  boolean: "bool",
  object: "object",
  undefined: "null",
};

function scalar<T>(goType: string, zero: T, accepts: (value: unknown) => boolean): Shape<T> {
  return {
    goType,
    zero: () => zero,
    decode: (value, at) => {
      if (value === null || value === undefined) return zero;
      if (!accepts(value)) throw mismatch(value, goType, at);
      return value as T;
    },
  };
}

export const text: Shape<string> = scalar("string", "", (value) => typeof value === "string");
export const boolean: Shape<boolean> = scalar("bool", false, (value) => typeof value === "boolean");
export const float: Shape<number> = scalar("float64", 0, (value) => typeof value === "number");

/** An integer that fits the Go type given. */
export const integer = (goType: "int" | "int64" | "uint16" | "uint32" | "uint64" = "int64"): Shape<number> =>
  scalar(goType, 0, (value) => Number.isInteger(value) && (!goType.startsWith("u") || Number(value) >= 0));

/** Any JSON, as it is. */
export const anything: Shape<unknown> = { goType: "interface {}", zero: () => undefined, decode: (value) => value };

export function list<T>(of: Shape<T>): Shape<readonly T[]> {
  const goType = `[]${of.goType}`;
  return {
    goType,
    zero: () => [],
    decode: (value, at) => {
      if (value === null || value === undefined) return [];
      if (!Array.isArray(value)) throw mismatch(value, goType, at);
      return value.map((item) => of.decode(item, at));
    },
  };
}

/** A list that may also be written as one string (Cmd, Entrypoint). */
export const textOrList: Shape<readonly string[]> = {
  goType: "[]string",
  zero: () => [],
  decode: (value, at) => (typeof value === "string" ? [value] : list(text).decode(value, at)),
};

export function map<T>(of: Shape<T>): Shape<Readonly<Record<string, T>>> {
  const goType = `map[string]${of.goType}`;
  return {
    goType,
    zero: () => ({}),
    decode: (value, at) => {
      if (value === null || value === undefined) return {};
      if (!isObject(value)) throw mismatch(value, goType, at);
      const keys = Object.keys(value).sort(); // As Go writes them, whatever the order in which they came.
      return Object.fromEntries(keys.map((key) => [key, of.decode(value[key], at)]));
    },
  };
}

/** A Go pointer, or a list whose absence differs from emptiness: null and absent are undefined. */
export function optional<T>(of: Shape<T>): Shape<T | undefined> {
  return {
    goType: of.goType,
    zero: () => undefined,
    decode: (value, at) => (value === null || value === undefined ? undefined : of.decode(value, at)),
  };
}

type Fields = Readonly<Record<string, Shape<unknown>>>;
type FieldValues<F extends Fields> = { readonly [K in keyof F]: Decoded<F[K]> };

/** An object with these fields. `name` is Go's name of the struct, for messages. */
export function struct<F extends Fields>(name: string, fields: F): Shape<FieldValues<F>> {
  const byLowerCase = new Map(Object.keys(fields).map((key) => [key.toLowerCase(), key]));
  const zero = (): FieldValues<F> =>
    Object.fromEntries(Object.entries(fields).map(([key, shape]) => [key, shape.zero()])) as FieldValues<F>;
  return {
    goType: name.includes(".") ? name : `container.${name}`,
    zero,
    decode: (value, at) => {
      if (value === null || value === undefined) return zero();
      if (!isObject(value)) throw mismatch(value, name, at);
      const result: Record<string, unknown> = zero();
      for (const [written, item] of Object.entries(value)) {
        const key = fields[written] ? written : byLowerCase.get(written.toLowerCase());
        if (key === undefined) continue;
        const path = at.path === "" ? key : `${at.path}.${key}`;
        result[key] = fields[key]!.decode(item, { struct: name.slice(name.lastIndexOf(".") + 1), path });
      }
      return result as FieldValues<F>;
    },
  };
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Parses a JSON text into a shape. Throws invalid-argument: malformed, more than one value, or a wrong type. */
export function decodeJson<T>(json: string, shape: Shape<T>): T {
  return shape.decode(parseJson(json), { struct: "", path: "" });
}

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    throw new HullError("invalid-argument", `invalid JSON: ${syntaxError(json)}`, { cause: error });
  }
}

/** Finds what JSON.parse refused and says it as Go does: the shortest prefix that can't begin a JSON text names the character. */
function syntaxError(json: string): string {
  if (json.trim() === "") return "got EOF while reading request body";
  const end = firstValueEnd(json);
  if (end.kind === "truncated") return "unexpected EOF";
  if (end.kind === "complete") return "unexpected content after JSON";
  return `invalid character ${quoteCharacter(json[end.at] ?? "")} ${end.expected}`;
}

const quoteCharacter = (character: string): string => (character === "'" ? `'\\''` : `'${character}'`);

type ValueEnd =
  | { readonly kind: "complete" }
  | { readonly kind: "truncated" }
  | { readonly kind: "bad"; readonly at: number; readonly expected: string };

const token =
  /\s*(?:([[\]{}:,])|("(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null))/y;

/** A small pushdown scan; only runs on texts already known to be wrong. */
function firstValueEnd(json: string): ValueEnd {
  const open: string[] = [];
  let want: "value" | "key" | "colon" | "comma" = "value";
  for (let at = 0; ; ) {
    token.lastIndex = at;
    const found = token.exec(json);
    const start = at + /^\s*/.exec(json.slice(at))![0].length;
    if (!found)
      return start >= json.length || /^["tfn-]/.test(json.slice(start)) ? { kind: "truncated" } : bad(start, want);
    const [, mark, string] = found;
    at = token.lastIndex;
    const closing: boolean = (mark === "]" && open.at(-1) === "[") || (mark === "}" && open.at(-1) === "{");
    if (closing && want !== "colon") {
      open.pop();
      want = "comma";
    } else if (want === "value" && (mark === "[" || mark === "{")) {
      open.push(mark);
      want = mark === "{" ? "key" : "value";
    } else if (want === "value" && mark === undefined) want = "comma";
    else if (want === "key" && string !== undefined) want = "colon";
    else if (want === "colon" && mark === ":") want = "value";
    else if (want === "comma" && mark === ",") want = open.at(-1) === "{" ? "key" : "value";
    else return bad(start, want);
    if (open.length === 0 && want === "comma") return { kind: "complete" };
  }
}

const expectations = {
  value: "looking for beginning of value",
  key: "looking for beginning of object key string",
  colon: "after object key",
  comma: "after top-level value",
} as const;
const bad = (at: number, want: keyof typeof expectations): ValueEnd => ({
  kind: "bad",
  at,
  expected: expectations[want],
});
