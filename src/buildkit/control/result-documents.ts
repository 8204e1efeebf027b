/** What is attested of a result, as files beside its own: "provenance.json", "sbom.spdx.json". */
import { HullError } from "../../platform/errors.ts";
import { encodeStatement, type Predicate, predicateTypes } from "../attestations/statement.ts";
import type { BuiltImage } from "../build.ts";
import type { FileEntry } from "../files/entry.ts";

export interface ResultDocument {
  /** In the result's root. */
  readonly path: string;
  readonly bytes: Buffer;
  readonly mtimeNs: bigint;
}

export interface DocumentsCall {
  readonly predicates: readonly Predicate[];
  /** Of the files' names. */
  readonly prefix: string;
  /** Everything in the result, files with their hashes where they are wanted. */
  readonly view: { list(signal: AbortSignal, hashed?: boolean): Promise<readonly FileEntry[]> };
  readonly signal: AbortSignal;
}

/** Statements about every file of the result. Throws invalid-argument where it has a file of the name. */
export async function resultDocuments(
  { config }: Pick<BuiltImage, "config">,
  { predicates, prefix, view, signal }: DocumentsCall,
): Promise<ResultDocument[]> {
  if (predicates.length === 0) return [];
  const entries = await view.list(signal, true);
  const subjects = entries
    .filter(({ kind }) => kind === "file")
    .map(({ path, sha256 }) => ({ name: path, digest: { sha256 } }));
  const taken = new Set(entries.map(({ path }) => path));
  const createdMs = Date.parse(String(config.created ?? "")) || Date.now();
  return predicates.map((predicate) => {
    const path = `${prefix}${nameOf(predicate)}`;
    if (path.includes("/") || taken.has(path))
      throw new HullError(
        "invalid-argument",
        `an attestation cannot be written as ${path}: ${path.includes("/") ? "it is no name of a file" : "the result has a file of this name"}; choose another attestation-prefix`,
      );
    return { path, bytes: encodeStatement(subjects, predicate), mtimeNs: BigInt(createdMs) * 1_000_000n };
  });
}

function nameOf({ type, value }: Predicate): string {
  if (type !== predicateTypes.spdx) return "provenance.json";
  return `${(value as { readonly name: string }).name.replaceAll("/", "_")}.spdx.json`;
}
