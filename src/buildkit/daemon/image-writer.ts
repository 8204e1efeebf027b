/** Built images into hull-containerd: config and manifest as content, a record for each name. */
import { randomBytes } from "node:crypto";
import { type ContainerdClient, call } from "../../containerd/client.ts";
import { chainIds, digestOf, parseDigest } from "../../oci/digest.ts";
import { type Descriptor, mediaTypes } from "../../oci/image.ts";
import { formatReference, type Reference } from "../../oci/reference.ts";
import { codeOf, during } from "../../platform/errors.ts";
import type { BuiltImage } from "../build.ts";
import { encodeDocument } from "../graph/image-document.ts";
import type { Layer } from "../solver/ports.ts";
import { LEASE } from "./snapshot-layers.ts";

export interface ImageWriterParts {
  readonly containerd: ContainerdClient;
  /** Its name in labels: "overlay2". */
  readonly snapshotter: string;
}

export interface WrittenImage {
  /** Docker's: of the config. */
  readonly id: string;
  /** Of the manifest. */
  readonly digest: string;
}

/** Stores the image under the names, or without one. Its layers must be held meanwhile. */
export async function writeImage(
  parts: ImageWriterParts,
  { image, tags, signal }: { image: BuiltImage; tags: readonly Reference[]; signal: AbortSignal },
): Promise<WrittenImage> {
  const { containerd, snapshotter } = parts;
  const layers = image.stack.layers.filter(({ empty }) => !empty);
  const known = await knownLayers(containerd, layers);
  const descriptors = layers.map((layer) => known.get(layer.diffId) ?? plainLayer(layer));
  const top = chainIds(layers.map(({ diffId }) => parseDigest(diffId))).at(-1);
  const config = await writeDocument(containerd, {
    mediaType: mediaTypes.dockerConfig,
    bytes: encodeDocument(image.config),
    labels: top === undefined ? {} : { [`containerd.io/gc.ref.snapshot.${snapshotter}`]: top },
  });
  const manifest = { schemaVersion: 2, mediaType: mediaTypes.dockerManifest, config, layers: descriptors };
  const labels = Object.fromEntries(
    descriptors.map(({ digest }, i) => [`containerd.io/gc.ref.content.l.${i}`, digest]),
  );
  const target = await writeDocument(containerd, {
    mediaType: mediaTypes.dockerManifest,
    bytes: Buffer.from(JSON.stringify(manifest)),
    labels: { ...labels, "containerd.io/gc.ref.content.config": config.digest },
  });
  signal.throwIfAborted();
  await nameImage(containerd, { target, tags });
  await letGo(containerd, [config.digest, target.digest]);
  return { id: config.digest, digest: target.digest };
}

const plainLayer = ({ diffId, tarBytes }: Layer): Descriptor => ({
  mediaType: mediaTypes.dockerLayer,
  digest: parseDigest(diffId),
  size: tarBytes,
});

/** Layers of images that are there, as their manifests have them: perhaps compressed. */
async function knownLayers(
  containerd: ContainerdClient,
  wanted: readonly Layer[],
): Promise<ReadonlyMap<string, Descriptor>> {
  const asked = new Set(wanted.map(({ diffId }) => diffId));
  const { images } = await containerd.imageStore.list({}, call({}));
  const found = images.flatMap(({ layers }) => layers.filter(({ diffId }) => asked.has(diffId)));
  return new Map(
    found.map(({ diffId, mediaType, digest, size }) => [
      diffId,
      { mediaType, digest: parseDigest(digest), size: Number(size) },
    ]),
  );
}

interface Document {
  readonly mediaType: string;
  readonly bytes: Buffer;
  readonly labels: Readonly<Record<string, string>>;
}

/** Held by the builder's lease until a name leads to it. */
async function writeDocument(
  containerd: ContainerdClient,
  { mediaType, bytes, labels }: Document,
): Promise<Descriptor> {
  const digest = digestOf(bytes);
  const resource = { type: "content", id: digest };
  await containerd.leases.addResource({ id: LEASE, resource }, call({}));
  const request = {
    // Of its own: another build may be writing the same document.
    ref: `build-${randomBytes(6).toString("hex")}-${digest}`,
    total: BigInt(bytes.length),
    expected: digest,
    offset: 0n,
    labels,
    data: bytes,
  };
  try {
    for await (const _answer of containerd.content.write(once({ ...request, action: 2 }), call({})));
  } catch (error) {
    if (codeOf(error) !== "already-exists") throw during(`store ${mediaType}`, error);
    const mask = { paths: Object.keys(labels).map((name) => `labels.${name}`) };
    if (mask.paths.length > 0)
      await containerd.content.update({ info: { digest, labels }, updateMask: mask }, call({}));
  }
  return { mediaType, digest, size: bytes.length };
}

async function* once<T>(value: T): AsyncGenerator<T> {
  yield value;
}

interface Named {
  readonly target: Descriptor;
  readonly tags: readonly Reference[];
}

const wire = ({ mediaType, digest, size }: Descriptor) => ({ mediaType, digest, size: BigInt(size) });
const danglingName = (digest: string): string => `moby-dangling@${digest}`;

/** An image whose last name is taken over stays without one, as with docker. */
async function nameImage(containerd: ContainerdClient, { target, tags }: Named): Promise<void> {
  const { images } = await containerd.imageStore.list({}, call({}));
  const names = tags.map(formatReference);
  for (const name of names) {
    const holder = images.find((image) => image.name === name);
    if (holder?.target && holder.target.digest !== target.digest) {
      const others = images.filter(
        (image) => image.target?.digest === holder.target?.digest && !names.includes(image.name),
      );
      if (others.length === 0) await put(containerd, danglingName(holder.target.digest), holder.target);
    }
    await put(containerd, name, wire(target));
  }
  const dangling = danglingName(target.digest);
  const named =
    names.length > 0 || images.some((image) => image.target?.digest === target.digest && image.name !== dangling);
  if (!named) await put(containerd, dangling, wire(target));
  else if (images.some(({ name }) => name === dangling)) await containerd.images.delete({ name: dangling }, call({}));
}

type WireTarget = { readonly mediaType: string; readonly digest: string; readonly size: bigint };

async function put(containerd: ContainerdClient, name: string, { mediaType, digest, size }: WireTarget): Promise<void> {
  const image = { name, target: { mediaType, digest, size } };
  try {
    await containerd.images.create({ image }, call({}));
  } catch (error) {
    if (codeOf(error) !== "already-exists") throw during(`name the image ${name}`, error);
    await containerd.images.update({ image }, call({}));
  }
}

async function letGo(containerd: ContainerdClient, digests: readonly string[]): Promise<void> {
  for (const id of digests)
    await containerd.leases.deleteResource({ id: LEASE, resource: { type: "content", id } }, call({}));
}
