/** Statements of in-toto that stand in an index beside the images that they are about. Pure. */
import { type Digest, hexOf } from "./digest.ts";
import { parseDescriptor } from "./image.ts";

/** The statement about `after` in the place of `before`: where an image's manifest became another one with the same contents. */
export function rebasedStatement(bytes: Uint8Array, before: Digest, after: Digest): Buffer {
  const statement = JSON.parse(Buffer.from(bytes).toString()) as { subject?: readonly Subject[] };
  const subject = (statement.subject ?? []).map((one) =>
    one.digest?.sha256 === hexOf(before) ? { ...one, digest: { ...one.digest, sha256: hexOf(after) } } : one,
  );
  return Buffer.from(JSON.stringify({ ...statement, subject }));
}

interface Subject {
  readonly digest?: Readonly<Record<string, string>>;
}

/** The annotation that names the image. */
export const ABOUT = "vnd.docker.reference.digest";

type Json = Readonly<Record<string, unknown>>;

/** An index with other entries in the place of some of its own, whatever else stands in it. Throws invalid-argument. */
export function withEntries(index: Uint8Array, entryFor: (digest: Digest, entry: Json) => Json): Buffer {
  const document = JSON.parse(Buffer.from(index).toString()) as { readonly manifests: readonly Json[] };
  const manifests = document.manifests.map((entry, i) =>
    entryFor(parseDescriptor(entry, `/manifests/${i}`).digest, entry),
  );
  return Buffer.from(JSON.stringify({ ...document, manifests }));
}
