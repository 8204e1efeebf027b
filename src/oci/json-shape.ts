/**
 * Shapes of untrusted JSON: one definition is both the check and the type. A reader gets a node and answers the checked value
 * or throws `invalid-argument` naming the place as a JSON pointer (RFC 6901). `null` counts as absent; unknown properties are ignored.
 */
import { HullError } from "../platform/errors.ts";

/** A value with its place in the document ("" is the whole). `document` names the file in messages. */
export interface Node {
  readonly value: unknown;
  readonly at: string;
  readonly document: string;
}

export type Reader<T> = (node: Node) => T;
export type Read<R> = R extends Reader<infer T> ? T : never;

/** A refusal of what stands at a node. */
export function refuse(node: Node, problem: string): HullError {
  return new HullError("invalid-argument", `${node.document} ${node.at || "/"}: ${problem}`, {
    facts: { pointer: node.at },
  });
}

const escaped = (key: string): string => key.replaceAll("~", "~0").replaceAll("/", "~1");

/** Below another node. Most are never refused: their place is put together only when somebody asks for it. */
class Child implements Node {
  constructor(
    readonly value: unknown,
    private readonly parent: Node,
    private readonly key: string | number,
  ) {}

  get at(): string {
    return `${this.parent.at}/${escaped(String(this.key))}`;
  }

  get document(): string {
    return this.parent.document;
  }
}

export const child = (node: Node, key: string | number): Node =>
  new Child((node.value as Record<string, unknown>)[key], node, key);

export const isAbsent = (node: Node): boolean => node.value === undefined || node.value === null;

/** A string without NUL, which no system call could take. */
export const text: Reader<string> = (node) => {
  if (typeof node.value !== "string") throw refuse(node, "is not a string");
  if (node.value.includes("\0")) throw refuse(node, "contains a NUL character");
  return node.value;
};

export const filledText: Reader<string> = (node) => {
  const value = text(node);
  if (value === "") throw refuse(node, "is empty");
  return value;
};

export const flag: Reader<boolean> = (node) => {
  if (typeof node.value !== "boolean") throw refuse(node, "is not true or false");
  return node.value;
};

/** A whole number in a range; what a double cannot hold exactly is refused. */
export const whole =
  (least = Number.MIN_SAFE_INTEGER, most = Number.MAX_SAFE_INTEGER): Reader<number> =>
  (node) => {
    if (typeof node.value !== "number" || !Number.isInteger(node.value)) throw refuse(node, "is not a whole number");
    if (node.value < least || node.value > most) throw refuse(node, `is not between ${least} and ${most}`);
    return node.value;
  };

export const u32 = whole(0, 0xffffffff);
const ALL_BITS = 2n ** 64n - 1n;

/** Unsigned 64 bit. 2^64-1, which JSON's doubles read as 2^64, is taken for itself. */
export const u64: Reader<bigint> = (node) => {
  if (typeof node.value !== "number" || !Number.isInteger(node.value) || node.value < 0)
    throw refuse(node, "is not an unsigned number");
  if (node.value >= 2 ** 64) {
    if (node.value > 2 ** 64) throw refuse(node, "exceeds 64 bits");
    return ALL_BITS;
  }
  return BigInt(node.value);
};

export const oneOf =
  <const T extends string>(...names: readonly T[]): Reader<T> =>
  (node) => {
    const value = text(node);
    if (!(names as readonly string[]).includes(value)) throw refuse(node, `"${value}" is none of ${names.join(", ")}`);
    return value as T;
  };

export const optional =
  <T>(read: Reader<T>): Reader<T | undefined> =>
  (node) =>
    isAbsent(node) ? undefined : read(node);

export const orElse =
  <T>(read: Reader<T>, fallback: T): Reader<T> =>
  (node) =>
    isAbsent(node) ? fallback : read(node);

/** An absent list is empty. */
export const list =
  <T>(read: Reader<T>): Reader<readonly T[]> =>
  (node) => {
    if (isAbsent(node)) return [];
    if (!Array.isArray(node.value)) throw refuse(node, "is not a list");
    return node.value.map((_, i) => read(child(node, i)));
  };

/** An object used as a table of names; absent is empty. */
export const table =
  <T>(read: Reader<T>): Reader<Readonly<Record<string, T>>> =>
  (node) => {
    if (isAbsent(node)) return {};
    return Object.fromEntries(Object.keys(asObject(node)).map((key) => [key, read(child(node, key))]));
  };

function asObject(node: Node): Record<string, unknown> {
  if (typeof node.value !== "object" || node.value === null || Array.isArray(node.value))
    throw refuse(node, isAbsent(node) ? "is missing" : "is not an object");
  return node.value as Record<string, unknown>;
}

export type Shape = Readonly<Record<string, Reader<unknown>>>;

export const shape =
  <S extends Shape>(readers: S): Reader<{ readonly [K in keyof S]: Read<S[K]> }> =>
  (node) => {
    asObject(node);
    const made: Record<string, unknown> = {};
    for (const key in readers) made[key] = readers[key]!(child(node, key));
    return made as { readonly [K in keyof S]: Read<S[K]> };
  };

/** Parses a document. Throws `invalid-argument` for malformed JSON too. */
export function parseDocument<T>(source: string | Uint8Array, document: string, read: Reader<T>): T {
  let value: unknown;
  try {
    value = JSON.parse(typeof source === "string" ? source : new TextDecoder("utf-8", { fatal: true }).decode(source));
  } catch (error) {
    throw new HullError(
      "invalid-argument",
      `${document} is no JSON: ${error instanceof Error ? error.message : error}`,
      {
        cause: error,
      },
    );
  }
  return read({ value, at: "", document });
}
