/** Content digests (image-spec descriptor.md, "Digests"). Only sha256 names blobs here. */
import { createHash } from "node:crypto";
import { HullError } from "../platform/errors.ts";

/** "sha256:" and 64 lower-case hex digits; made only by `parseDigest`, `digestOf` and `digestOfHash`. */
export type Digest = string & { readonly __digest: true };

const form = /^sha256:[0-9a-f]{64}$/;

export const isDigest = (text: string): text is Digest => form.test(text);

/** Throws `invalid-argument`: a digest becomes a path, so nothing but the exact form passes. */
export function parseDigest(text: string): Digest {
  if (isDigest(text)) return text;
  const shown = text.length > 100 ? `${text.slice(0, 100)}...` : text;
  throw new HullError("invalid-argument", `invalid digest "${shown}": want sha256: and 64 hex digits`);
}

/** The 64 hex digits. */
export const hexOf = (digest: Digest): string => digest.slice("sha256:".length);

/** Of bytes in memory; files are hashed by keel. */
export const digestOf = (bytes: Uint8Array | string): Digest =>
  `sha256:${createHash("sha256").update(bytes).digest("hex")}` as Digest;

/** From the 32 bytes of a hash. */
export function digestOfHash(hash: Uint8Array): Digest {
  return parseDigest(`sha256:${Buffer.from(hash).toString("hex")}`);
}

/** Name of the stack up to each layer, base first (image-spec config.md, "Layer ChainID"). */
export function chainIds(diffIds: readonly Digest[]): Digest[] {
  const chain: Digest[] = [];
  for (const diffId of diffIds) {
    const below = chain.at(-1);
    chain.push(below === undefined ? diffId : digestOf(`${below} ${diffId}`));
  }
  return chain;
}
