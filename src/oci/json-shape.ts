/**
 * Checks of untrusted JSON: each shape takes a value and the JSON pointer where it stands, and returns it typed or throws
 * invalid-argument naming the place. Unknown fields are left out; null counts as absent.
 */
import { HullError } from "../platform/errors.ts";

export type Shape<T> = (value: unknown, at: Place) => T;

export interface Place {
  /** "config.json". */
  readonly document: string;
  /** "/process/args/0". */
  readonly pointer: string;
}

export const below = (at: Place, key: string | number): Place => ({ ...at, pointer: `${at.pointer}/${key}` });

export const wrong = (at: Place, expected: string): HullError =>
  new HullError("invalid-argument", `${at.document} ${at.pointer || "/"}: expected ${expected}`);

export const text: Shape<string> = (value, at) => {
  if (typeof value !== "string") throw wrong(at, "a string");
  if (value.includes("\0")) throw wrong(at, "a string without NUL");
  return value;
};

export const flag: Shape<boolean> = (value, at) => {
  if (typeof value !== "boolean") throw wrong(at, "true or false");
  return value;
};

export const integer: Shape<number> = (value, at) => {
  if (typeof value !== "number" || !Number.isInteger(value)) throw wrong(at, "an integer");
  return value;
};

export const unsigned: Shape<number> = (value, at) => {
  if (typeof value !== "number" || !Number.isInteger(value) || value < 0)
    throw wrong(at, "an integer that is not negative");
  return value;
};

export const list =
  <T>(item: Shape<T>): Shape<readonly T[]> =>
  (value, at) => {
    if (!Array.isArray(value)) throw wrong(at, "an array");
    return value.map((entry, i) => item(entry, below(at, i)));
  };

export const record =
  <T>(item: Shape<T>): Shape<Readonly<Record<string, T>>> =>
  (value, at) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw wrong(at, "an object");
    return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, item(entry, below(at, key))]));
  };

type Shapes = Readonly<Record<string, Shape<unknown>>>;
type Required<S extends Shapes> = { readonly [K in keyof S]: ReturnType<S[K]> };
type Optional<S extends Shapes> = { readonly [K in keyof S]?: ReturnType<S[K]> };

/** An object with required and optional fields. */
export const object =
  <R extends Shapes, O extends Shapes>(required: R, optional: O): Shape<Required<R> & Optional<O>> =>
  (value, at) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw wrong(at, "an object");
    const given = value as Readonly<Record<string, unknown>>;
    const out: Record<string, unknown> = {};
    for (const [key, shape] of Object.entries(required)) {
      if (given[key] === undefined || given[key] === null) throw wrong(below(at, key), "a value: it is required");
      out[key] = shape(given[key], below(at, key));
    }
    for (const [key, shape] of Object.entries(optional)) {
      if (given[key] !== undefined && given[key] !== null) out[key] = shape(given[key], below(at, key));
    }
    return out as Required<R> & Optional<O>;
  };

/** Parses text as JSON and checks it. Throws invalid-argument for both. */
export function parseJson<T>(document: string, json: string | Uint8Array, shape: Shape<T>): T {
  let value: unknown;
  try {
    value = JSON.parse(typeof json === "string" ? json : Buffer.from(json).toString("utf8"));
  } catch (error) {
    throw new HullError(
      "invalid-argument",
      `${document} is not valid JSON: ${error instanceof Error ? error.message : error}`,
      { cause: error },
    );
  }
  return shape(value, { document, pointer: "" });
}
