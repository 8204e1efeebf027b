/** `docker save`: images as one tar that is a docker-archive and an OCI layout at once, streamed. */
import { type Digest, digestOf, hexOf } from "../../oci/digest.ts";
import { type Descriptor, mediaTypes } from "../../oci/image.ts";
import { familiarReference, parseReference } from "../../oci/reference.ts";
import type { ContentStore } from "../content/content-store.ts";
import type { ResolvedImage } from "./image-details.ts";
import { tarEnd, tarHead, tarPadding } from "./tar-writer.ts";

const CHUNK_BYTES = 512 * 1024;

export interface ExportedImage {
  readonly image: ResolvedImage;
  /** Full references it is to have in the archive. */
  readonly references: readonly string[];
}

/** Chunks of the tar. Throws when a blob is missing or shorter than its descriptor says: the stream ends in an error then. */
export async function* exportImages(
  content: ContentStore,
  namespace: string,
  images: readonly ExportedImage[],
): AsyncGenerator<Buffer> {
  const mtime = 0;
  for (const name of ["blobs/", "blobs/sha256/"]) yield tarHead({ name, size: 0, mtime });
  for (const digest of blobsOf(images)) {
    const { size } = content.info(namespace, digest);
    yield tarHead({ name: pathOf(digest), size, mtime });
    yield* blobChunks(content, namespace, { digest, size });
    yield tarPadding(size);
  }
  for (const [name, document] of Object.entries(documentsOf(images))) {
    const bytes = Buffer.from(JSON.stringify(document));
    yield Buffer.concat([tarHead({ name, size: bytes.length, mtime }), bytes, tarPadding(bytes.length)]);
  }
  yield tarEnd();
}

const pathOf = (digest: Digest): string => `blobs/sha256/${hexOf(digest)}`;

function blobsOf(images: readonly ExportedImage[]): Set<Digest> {
  return new Set(
    images.flatMap(({ image }) => [
      image.manifestDescriptor.digest,
      image.manifest.config.digest,
      ...image.manifest.layers.map((layer) => layer.digest),
    ]),
  );
}

async function* blobChunks(
  content: ContentStore,
  namespace: string,
  { digest, size }: { readonly digest: Digest; readonly size: number },
): AsyncGenerator<Buffer> {
  await using file = await content.open(namespace, digest);
  for (let at = 0; at < size; ) {
    const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, size - at));
    const { bytesRead } = await file.read(chunk, 0, chunk.length, at);
    if (bytesRead === 0) throw new Error(`content ${digest} ends at byte ${at} of ${size}`);
    yield chunk.subarray(0, bytesRead);
    at += bytesRead;
  }
}

function documentsOf(images: readonly ExportedImage[]): Record<string, unknown> {
  const manifests = images.flatMap(({ image, references }) => {
    const { mediaType, digest, size } = image.manifestDescriptor;
    const entry: Descriptor = { mediaType, digest, size };
    return references.length === 0
      ? [entry]
      : references.map((name) => ({ ...entry, annotations: annotationsOf(name) }));
  });
  return {
    "index.json": { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests },
    "manifest.json": images.map(({ image, references }) => ({
      Config: pathOf(digestOf(image.configBytes)),
      RepoTags: references.length === 0 ? null : references.map((name) => familiarReference(parseReference(name))),
      Layers: image.manifest.layers.map((layer) => pathOf(layer.digest)),
    })),
    "oci-layout": { imageLayoutVersion: "1.0.0" },
  };
}

function annotationsOf(name: string): Record<string, string> {
  const tag = parseReference(name).tag;
  return { "io.containerd.image.name": name, ...(tag !== undefined && { "org.opencontainers.image.ref.name": tag }) };
}
