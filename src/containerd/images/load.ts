/**
 * `docker load`: images of an unpacked archive. Each layer is unpacked from the archive's file and verified in the same
 * reading, then its file becomes a blob; names are given last. A failure leaves no image, and what was made for it is collected.
 */
import { open } from "node:fs/promises";
import { chainIds, type Digest, digestOf } from "../../oci/digest.ts";
import { type Descriptor, mediaTypes } from "../../oci/image.ts";
import type { Platform } from "../../oci/platform.ts";
import { during, HullError } from "../../platform/errors.ts";
import type { SpanContext } from "../../trace/context.ts";
import type { Snapshotter } from "../snapshots/snapshotter.ts";
import { danglingName } from "../store/images.ts";
import { type ArchivedImage, type ArchivedLayer, readArchive } from "./archive-layout.ts";
import type { ImageTools } from "./image-tools.ts";
import {
  childLabels,
  encodeManifest,
  GIVEN_LABEL,
  layerMediaType,
  stackLabels,
  writeDocument,
} from "./image-writer.ts";
import type { LayerHashes, LayerState } from "./layer-store.ts";

export interface LoadRequest {
  readonly namespace: string;
  readonly directory: string;
  readonly snapshotter: Snapshotter;
  readonly platform: Platform;
  readonly keepReplaced: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly parent?: SpanContext | undefined;
  readonly onLayer?: (diffId: Digest, state: LayerState) => void;
}

export interface Loaded {
  /** The name, or the dangling name when the archive names none. */
  readonly name: string;
  readonly named: boolean;
  readonly configDigest: Digest;
}

/** Yields each image as it becomes ready. */
export async function* loadImages(tools: ImageTools, request: LoadRequest): AsyncGenerator<Loaded> {
  using _ = tools.collector.hold();
  const images = await readArchive(request.directory, request.platform);
  if (images.length === 0) throw new HullError("invalid-argument", "invalid image archive: it holds no image");
  const taken = new Map<string, Digest>();
  for (const image of images) {
    const manifest = await loadOne(tools, { request, image, taken }).catch((error) => {
      throw during(`load ${image.names[0] ?? digestOf(image.config)}`, error);
    });
    const configDigest = digestOf(image.config);
    const names = image.names.length > 0 ? image.names : [danglingName(manifest.digest)];
    for (const name of names) {
      tools.stores.images.point(request.namespace, { name, target: manifest, labels: {} }, request.keepReplaced);
      yield { name, named: image.names.length > 0, configDigest };
    }
  }
}

interface One {
  readonly request: LoadRequest;
  readonly image: ArchivedImage;
  /** Files that became blobs already: images of one archive share layers. */
  readonly taken: Map<string, Digest>;
}

async function loadOne(tools: ImageTools, one: One): Promise<Descriptor> {
  const { request, image } = one;
  const { namespace, snapshotter } = request;
  const { content } = tools.stores;
  const hashes = await unpack(tools, one);
  const layers: Descriptor[] = [];
  for (const [i, layer] of image.layers.entries()) layers.push(await adopt(tools, one, { layer, hashes: hashes[i]! }));
  const config = await writeDocument(content, namespace, {
    mediaType: image.manifest?.parsed.config.mediaType ?? mediaTypes.dockerConfig,
    bytes: image.config,
    labels: stackLabels(snapshotter.name, image.diffIds),
  });
  if (image.manifest === undefined)
    return writeDocument(content, namespace, encodeManifest({ family: "docker", config, layers }));
  const { bytes, parsed } = image.manifest;
  const labels = childLabels(parsed.layers, parsed.config);
  return writeDocument(content, namespace, { mediaType: parsed.mediaType, bytes, labels });
}

async function unpack(tools: ImageTools, { request, image, taken }: One): Promise<LayerHashes[]> {
  const { namespace, snapshotter, onLayer } = request;
  const { content } = tools.stores;
  const chain = chainIds(image.diffIds);
  const sources = image.layers.map((layer, i) => {
    const moved = taken.get(layer.path);
    const path = moved === undefined ? layer.path : content.path(namespace, moved);
    return { path, digest: layer.descriptor?.digest, diffId: image.diffIds[i]!, chainId: chain[i]! };
  });
  const unpacked = await tools.layers.unpackStack({ snapshotter, namespace }, sources, {
    signal: request.signal,
    parent: request.parent,
    onState: (i, state) => onLayer?.(image.diffIds[i]!, state),
  });
  return Promise.all(unpacked.map((known, i) => known ?? tools.layers.hash(sources[i]!, { parent: request.parent })));
}

async function adopt(
  tools: ImageTools,
  { request, image, taken }: One,
  { layer, hashes }: { readonly layer: ArchivedLayer; readonly hashes: LayerHashes },
): Promise<Descriptor> {
  const mediaType = layer.descriptor?.mediaType ?? (await mediaTypeOf(tools, { request, image, taken }, layer));
  if (!taken.has(layer.path)) {
    const given = layer.descriptor === undefined ? {} : { [GIVEN_LABEL]: "" };
    const labels = { "containerd.io/uncompressed": hashes.diffId, ...given };
    await tools.stores.content.adopt(request.namespace, layer.path, { digest: hashes.digest, labels });
    taken.set(layer.path, hashes.digest);
  }
  return { mediaType, digest: hashes.digest, size: hashes.blobBytes };
}

async function mediaTypeOf(tools: ImageTools, { request, taken }: One, layer: ArchivedLayer): Promise<string> {
  const moved = taken.get(layer.path);
  const path = moved === undefined ? layer.path : tools.stores.content.path(request.namespace, moved);
  await using file = await open(path, "r");
  const head = Buffer.alloc(4);
  await file.read(head, 0, 4, 0);
  return layerMediaType(head, "docker");
}
