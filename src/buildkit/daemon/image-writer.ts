/** Built images into hull-containerd: configs, manifests and indexes as content, a record for each name. */
import { type ContainerdClient, call } from "../../containerd/client.ts";
import { chainIds, parseDigest } from "../../oci/digest.ts";
import { type Descriptor, mediaTypes } from "../../oci/image.ts";
import { parsePlatform } from "../../oci/platform.ts";
import type { Reference } from "../../oci/reference.ts";
import type { BuiltImage } from "../build.ts";
import { encodeDocument } from "../graph/image-document.ts";
import type { Layer } from "../solver/ports.ts";
import { nameImage } from "./image-names.ts";
import { StoredDocuments } from "./stored-documents.ts";

export interface ImageWriterParts {
  readonly containerd: ContainerdClient;
  /** Its name in labels: "overlay2". */
  readonly snapshotter: string;
}

export interface WrittenImage {
  /** Docker's: of the config. */
  readonly id: string;
  /** Of what the names stand for: the manifest or the index. */
  readonly target: Descriptor;
  /** Of each image. */
  readonly manifests: readonly Descriptor[];
}

export interface ImageOrder {
  /** Their layers must be held meanwhile. */
  readonly images: readonly BuiltImage[];
  /** An index, of one image too. */
  readonly asIndex: boolean;
  /** What is said of an image, by its manifest; each a document of in-toto. */
  readonly attest?: (image: BuiltImage, manifest: Descriptor) => Promise<readonly Statement[]>;
  readonly tags: readonly Reference[];
  readonly signal: AbortSignal;
}

export interface Statement {
  readonly predicateType: string;
  readonly bytes: Buffer;
}

/** Stores the images under the names, or without one. */
export async function writeImages(parts: ImageWriterParts, order: ImageOrder): Promise<WrittenImage> {
  const { containerd } = parts;
  const { images, asIndex, tags, signal } = order;
  await using documents = new StoredDocuments(containerd);
  const writing = { parts, documents, family: asIndex ? ("oci" as const) : ("docker" as const) };
  const manifests: (Descriptor & { readonly config: Descriptor })[] = [];
  const attestations: Descriptor[] = [];
  for (const image of images) {
    const written = await writeManifest(writing, image);
    manifests.push(written);
    const statements = (await order.attest?.(image, written)) ?? [];
    if (statements.length > 0) attestations.push(await writeAttestation(documents, written, statements));
  }
  const entries = manifests.map(({ config: _config, ...entry }) => entry);
  const target = asIndex ? await writeIndex(documents, [...entries, ...attestations]) : entries[0]!;
  signal.throwIfAborted();
  const { mediaType, digest, size } = target;
  await nameImage(containerd, { target: { mediaType, digest, size }, tags });
  return { id: manifests[0]!.config.digest, target: { mediaType, digest, size }, manifests: entries };
}

interface Writing {
  readonly parts: ImageWriterParts;
  readonly documents: StoredDocuments;
  readonly family: keyof typeof types;
}

const types = {
  docker: { manifest: mediaTypes.dockerManifest, config: mediaTypes.dockerConfig, layer: mediaTypes.dockerLayer },
  oci: { manifest: mediaTypes.ociManifest, config: mediaTypes.ociConfig, layer: mediaTypes.ociLayer },
} as const;

async function writeManifest({ parts, documents, family }: Writing, image: BuiltImage) {
  const layers = image.stack.layers.filter(({ empty }) => !empty);
  const known = await knownLayers(parts.containerd, image, layers);
  const descriptors = layers.map((layer) => inFamily(known.get(layer.diffId) ?? plainLayer(layer), family));
  const top = chainIds(layers.map(({ diffId }) => parseDigest(diffId))).at(-1);
  const config = await documents.write({
    mediaType: types[family].config,
    bytes: encodeDocument(image.config),
    labels: top === undefined ? {} : { [`containerd.io/gc.ref.snapshot.${parts.snapshotter}`]: top },
  });
  const mediaType = types[family].manifest;
  const manifest = { schemaVersion: 2, mediaType, config, layers: descriptors };
  const written = await documents.write({
    mediaType,
    bytes: Buffer.from(JSON.stringify(manifest)),
    labels: { ...labelsFor("l", descriptors), "containerd.io/gc.ref.content.config": config.digest },
  });
  return { ...written, ...(family === "oci" && { platform: platformOf(image) }), config };
}

const labelsFor = (kind: "l" | "m", children: readonly Descriptor[]): Record<string, string> =>
  Object.fromEntries(children.map(({ digest }, i) => [`containerd.io/gc.ref.content.${kind}.${i}`, digest]));

function platformOf({ config, platform }: BuiltImage) {
  const { os, architecture, variant } = config;
  if (typeof os !== "string" || typeof architecture !== "string") return parsePlatform(platform);
  return { os, architecture, ...(typeof variant === "string" && variant !== "" && { variant }) };
}

const ociTypes: Readonly<Record<string, string>> = {
  [mediaTypes.dockerLayer]: mediaTypes.ociLayer,
  [mediaTypes.dockerLayerGzip]: mediaTypes.ociLayerGzip,
};

/** Layers of a base image keep their bytes, not what the other family calls them. */
const inFamily = (layer: Descriptor, family: Writing["family"]): Descriptor =>
  family === "oci" ? { ...layer, mediaType: ociTypes[layer.mediaType] ?? layer.mediaType } : layer;

const plainLayer = ({ diffId, tarBytes }: Layer): Descriptor => ({
  mediaType: mediaTypes.dockerLayer,
  digest: parseDigest(diffId),
  size: tarBytes,
});

/** Layers of images that are there, as their manifests have them: perhaps compressed. */
async function knownLayers(
  containerd: ContainerdClient,
  { baseBlobs }: BuiltImage,
  wanted: readonly Layer[],
): Promise<ReadonlyMap<string, Descriptor>> {
  const asked = new Set(wanted.map(({ diffId }) => diffId));
  const { images } = await containerd.imageStore.list({}, call({}));
  const found = [...baseBlobs, ...images.flatMap(({ layers }) => layers)].filter(({ diffId }) => asked.has(diffId));
  return new Map(
    found.map(({ diffId, mediaType, digest, size }) => [
      diffId,
      { mediaType, digest: parseDigest(digest), size: Number(size) },
    ]),
  );
}

function writeIndex(documents: StoredDocuments, entries: readonly Descriptor[]): Promise<Descriptor> {
  const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: entries };
  return documents.write({
    mediaType: mediaTypes.ociIndex,
    bytes: Buffer.from(JSON.stringify(index)),
    labels: labelsFor("m", entries),
  });
}

const UNKNOWN = { architecture: "unknown", os: "unknown" };

/** As BuildKit stores them: a manifest whose layers are the statements (docs/attestations/attestation-storage.md of BuildKit). */
async function writeAttestation(
  documents: StoredDocuments,
  about: Descriptor,
  statements: readonly Statement[],
): Promise<Descriptor> {
  const layers: Descriptor[] = [];
  for (const { predicateType, bytes } of statements) {
    const layer = await documents.write({ mediaType: mediaTypes.inToto, bytes, labels: {} });
    layers.push({ ...layer, annotations: { "in-toto.io/predicate-type": predicateType } });
  }
  const rootfs = { type: "layers", diff_ids: layers.map(({ digest }) => digest) };
  const config = await documents.write({
    mediaType: mediaTypes.ociConfig,
    bytes: Buffer.from(JSON.stringify({ ...UNKNOWN, config: {}, rootfs })),
    labels: {},
  });
  const manifest = await documents.write({
    mediaType: mediaTypes.ociManifest,
    bytes: Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers })),
    labels: { ...labelsFor("l", layers), "containerd.io/gc.ref.content.config": config.digest },
  });
  const annotations = {
    "vnd.docker.reference.digest": about.digest,
    "vnd.docker.reference.type": "attestation-manifest",
  };
  return { ...manifest, annotations, platform: UNKNOWN };
}
