/** A new image on an old one: commit (a snapshot's changes become its layer), import (a tar does), or only a new config. */
import { randomBytes } from "node:crypto";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { operation } from "../../keel/plan.ts";
import { chainIds, type digestOfHash } from "../../oci/digest.ts";
import { type Descriptor, mediaTypes, parseObject } from "../../oci/image.ts";
import { mountPointParents, mountPoints } from "../../oci/mount-points.ts";
import { HullError } from "../../platform/errors.ts";
import type { SpanContext } from "../../trace/context.ts";
import type { Snapshotter } from "../snapshots/snapshotter.ts";
import { danglingName, type ImageRecord } from "../store/images.ts";
import type { ResolvedImage } from "./image-details.ts";
import type { ImageTools } from "./image-tools.ts";
import { encodeManifest, layerMediaType, stackLabels, writeDocument } from "./image-writer.ts";
import { stackLayers } from "./unpack.ts";

export interface AddLayerRequest {
  readonly namespace: string;
  /** Undefined: only the config is new. */
  readonly source?: { readonly snapshot: string } | { readonly tar: string } | undefined;
  readonly parent?: ResolvedImage | undefined;
  /** Image config JSON; its rootfs.diff_ids are replaced. */
  readonly config: Uint8Array;
  /** Empty: dangling. */
  readonly name: string;
  readonly snapshotter: Snapshotter;
  readonly keepReplaced: boolean;
  readonly span?: SpanContext | undefined;
  /** An image that nobody waits for any more is not made. */
  readonly signal?: AbortSignal | undefined;
}

export async function addLayer(tools: ImageTools, request: AddLayerRequest): Promise<ImageRecord> {
  using _ = tools.collector.hold();
  const draft = parseObject(request.config, "image config");
  const parentIds = request.parent?.config.diffIds ?? [];
  const added = request.source ? [await makeLayer(tools, request, await layerFile(tools, request))] : [];
  const diffIds = [...parentIds, ...added.map((layer) => layer.diffId)];
  const layers = [...(request.parent?.manifest.layers ?? []), ...added.map((layer) => layer.descriptor)];
  const { content, images } = tools.stores;
  const bytes = Buffer.from(JSON.stringify({ ...draft, rootfs: { type: "layers", diff_ids: diffIds } }));
  const family = request.parent?.manifest.mediaType === mediaTypes.ociManifest ? "oci" : "docker";
  const mediaType = family === "oci" ? mediaTypes.ociConfig : mediaTypes.dockerConfig;
  const config = await writeDocument(content, request.namespace, {
    mediaType,
    bytes,
    labels: stackLabels(request.snapshotter.name, diffIds),
  });
  const target = await writeDocument(content, request.namespace, encodeManifest({ family, config, layers }));
  request.signal?.throwIfAborted();
  const name = request.name === "" ? danglingName(target.digest) : request.name;
  return images.point(request.namespace, { name, target, labels: {} }, request.keepReplaced);
}

interface NewLayer {
  readonly descriptor: Descriptor;
  readonly diffId: ReturnType<typeof digestOfHash>;
}

/** The layer as a file of the data root. */
async function layerFile(
  tools: ImageTools,
  { namespace, source, snapshotter, span }: AddLayerRequest,
): Promise<string> {
  if (source === undefined || "tar" in source) return source?.tar ?? "";
  if (!snapshotter.independentLayers) {
    throw new HullError(
      "unimplemented",
      `the ${snapshotter.name} storage driver cannot tell a container's changes yet`,
    );
  }
  const { layer } = snapshotter.paths(namespace, source.snapshot);
  const leftOut = [...mountPoints, ...mountPointParents].map((path) => path.slice(1));
  const blob = join(tools.scratch, `layer-${randomBytes(8).toString("hex")}`);
  await tools.kernel.run([operation("diffLayer", { upper: layer, blob, leftOut }, { cause: "commit" })], {
    parent: span,
  });
  return blob;
}

/** Unpacks it onto the parent and stores its blob. */
async function makeLayer(tools: ImageTools, request: AddLayerRequest, path: string): Promise<NewLayer> {
  const { namespace, snapshotter, parent, span } = request;
  try {
    const hashes = await tools.layers.hash({ path }, { parent: span });
    const diffIds = [...(parent?.config.diffIds ?? []), hashes.diffId];
    const chain = chainIds(diffIds);
    const below = parent ? await stackLayers(tools, { namespace, image: parent, snapshotter }) : [];
    const top = { path, digest: hashes.digest, diffId: hashes.diffId, chainId: chain.at(-1)! };
    await tools.layers.unpackStack({ snapshotter, namespace }, [...below, top], { parent: span });
    const mediaType = layerMediaType(await headOf(path), "docker");
    const labels = { "containerd.io/uncompressed": hashes.diffId };
    await tools.stores.content.adopt(namespace, path, { digest: hashes.digest, labels });
    return { diffId: hashes.diffId, descriptor: { mediaType, digest: hashes.digest, size: hashes.blobBytes } };
  } catch (error) {
    await tools.kernel.run([operation("unlink", { path }, { tolerate: ["ENOENT"], cause: "undo" })]);
    throw error;
  }
}

async function headOf(path: string): Promise<Uint8Array> {
  await using file = await open(path, "r");
  const head = Buffer.alloc(4);
  await file.read(head, 0, 4, 0);
  return head;
}
