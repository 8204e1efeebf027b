/** Images of OCI layouts in directories here, as named contexts: found by their tags, given out blob by blob (image-spec, image-layout.md). */
import { randomBytes } from "node:crypto";
import { createReadStream, readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { type Digest, hexOf, isDigest } from "../../oci/digest.ts";
import { isIndex, parseManifestOrIndex } from "../../oci/image.ts";
import { HullError, messageOf } from "../../platform/errors.ts";

export interface OciLayout {
  /** What the daemon calls it. */
  readonly id: string;
  readonly path: string;
  /** For the daemon: "oci-layout://ID:TAG@DIGEST". */
  readonly reference: string;
}

const PREFIX = "oci-layout://";
const NAME = "org.opencontainers.image.ref.name";

/** Undefined for what is none. Throws invalid-argument. */
export function openOciLayout(value: string): OciLayout | undefined {
  if (!value.startsWith(PREFIX)) return undefined;
  const [place = "", given] = value.slice(PREFIX.length).split("@", 2);
  const colon = place.indexOf(":", place.lastIndexOf("/") + 1);
  const [path, tag] = colon < 0 ? [place, "latest"] : [place.slice(0, colon), place.slice(colon + 1)];
  try {
    const digest = given ?? digestIn(resolve(path), tag);
    if (!isDigest(digest)) throw new Error(`${JSON.stringify(digest)} is no digest`);
    const id = randomBytes(13).toString("hex");
    return { id, path: resolve(path), reference: `${PREFIX}${id}:${tag}@${digest}` };
  } catch (error) {
    throw new HullError(
      "invalid-argument",
      `oci-layout reference "${value}" could not be resolved: ${messageOf(error)}`,
    );
  }
}

function digestIn(path: string, tag: string): Digest {
  const index = parseManifestOrIndex(readFileSync(join(path, "index.json")));
  if (!isIndex(index)) throw new Error("its index.json is no index");
  const names = index.manifests.map(({ annotations }) => annotations?.[NAME] ?? "");
  const at = names.findIndex((name) => name === tag || name.endsWith(`:${tag}`));
  if (at >= 0) return index.manifests[at]!.digest;
  throw new Error(
    `it has no image with the tag ${tag}; it has ${names.filter((name) => name !== "").join(", ") || "none with a name"}`,
  );
}

const blobOf = (path: string, digest: string): string => {
  if (isDigest(digest)) return join(path, "blobs/sha256", hexOf(digest));
  throw new HullError("invalid-argument", `${JSON.stringify(digest)} is no digest`);
};

const missing = (digest: string, cause: unknown): HullError =>
  new HullError("not-found", `content ${digest}: not found`, { cause });

export function blobBytes(path: string, digest: string): number {
  try {
    return statSync(blobOf(path, digest)).size;
  } catch (error) {
    throw error instanceof HullError ? error : missing(digest, error);
  }
}

export interface BlobPart {
  readonly digest: string;
  readonly offset: number;
  /** 0: to the end. */
  readonly size: number;
}

export async function* readBlob(
  path: string,
  { digest, offset, size }: BlobPart,
): AsyncGenerator<{ offset: bigint; data: Uint8Array }> {
  const whole = blobBytes(path, digest);
  const end = size === 0 ? whole : Math.min(whole, offset + size);
  if (offset >= end) return;
  let at = offset;
  const stream = createReadStream(blobOf(path, digest), { start: offset, end: end - 1, highWaterMark: 1024 * 1024 });
  for await (const data of stream as AsyncIterable<Buffer>) {
    yield { offset: BigInt(at), data };
    at += data.length;
  }
}
