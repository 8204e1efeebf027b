/**
 * A plan: a typed, ordered list of kernel operations, each with the cause it exists for. Building one does nothing;
 * keel executes it (serve.ts) and the causes turn its failure into a sentence.
 */
import { type OperationName, operations, type Tolerable, tolerable } from "./operations.ts";
import { type Blob, encodeRecord, type Int, type RecordInput } from "./wire.ts";

type Shape<N extends OperationName> = (typeof operations)[N];
type Ints<N extends OperationName> = Shape<N>["ints"][number];
type Blobs<N extends OperationName> = Shape<N>["blobs"][number];
type ListBlob = Blob | readonly string[];

/** The fields of operation N by name. Integers default to 0, blobs to empty; a list of strings is NUL separated. */
export type Fields<N extends OperationName> = { readonly [K in Ints<N>]?: Int } & {
  readonly [K in Blobs<N>]?: ListBlob;
};

export interface Operation {
  readonly name: OperationName;
  readonly record: RecordInput;
  /** Where it comes from, for people: "config.json /mounts/0", "network bridge". */
  readonly cause: string;
  /** What it acts on, for error texts and traces: usually its path. */
  readonly subject: string;
}

export interface OperationOptions {
  readonly tolerate?: readonly Tolerable[];
  readonly cause?: string;
  readonly subject?: string;
}

/** One operation as a value. */
export function operation<N extends OperationName>(
  name: N,
  fields: Fields<N>,
  options: OperationOptions = {},
): Operation {
  const shape = operations[name];
  const given = fields as Readonly<Record<string, Int | ListBlob | undefined>>;
  const ints = shape.ints.map((field) => (given[field] ?? 0) as Int);
  const blobs = shape.blobs.map((field) => joined((given[field] ?? "") as ListBlob));
  const flags = (options.tolerate ?? []).reduce((bits, errno) => bits | (1 << tolerable.indexOf(errno)), 0);
  const record = { code: shape.code, flags, ints, blobs };
  return { name, record, cause: options.cause ?? "", subject: options.subject ?? subjectOf(given) };
}

function joined(blob: ListBlob): Blob {
  return typeof blob === "string" || blob instanceof Uint8Array ? blob : blob.map((text) => `${text}\0`).join("");
}

function subjectOf(fields: Readonly<Record<string, unknown>>): string {
  for (const key of ["path", "target", "directory", "name", "to", "type", "argv0", "user", "lsm"]) {
    const value = fields[key];
    if (typeof value === "string" && value !== "") return value;
  }
  return "";
}

export function encodeOperations(list: readonly Operation[]): Uint8Array[] {
  return list.map((op) => encodeRecord(op.record));
}
