/** Makes a stored image's snapshots, and the labels by which gc follows it (clients that pull may not have set them). */
import type { Digest } from "../../oci/digest.ts";
import { isIndex, parseManifestOrIndex } from "../../oci/image.ts";
import type { SpanContext } from "../../trace/context.ts";
import type { Snapshotter } from "../snapshots/snapshotter.ts";
import type { ResolvedImage } from "./image-details.ts";
import type { ImageTools } from "./image-tools.ts";
import { childLabels, stackLabels } from "./image-writer.ts";
import type { LayerState, StackLayer } from "./layer-store.ts";

export interface UnpackRequest {
  readonly namespace: string;
  readonly image: ResolvedImage;
  readonly snapshotter: Snapshotter;
  readonly signal?: AbortSignal | undefined;
  readonly parent?: SpanContext | undefined;
  readonly onLayer?: (diffId: Digest, state: LayerState) => void;
}

/** Answers the name of the top snapshot; empty for an image without layers. */
export async function unpackImage(tools: ImageTools, request: UnpackRequest): Promise<string> {
  using _ = tools.collector.hold();
  const { namespace, image, snapshotter, onLayer } = request;
  const { diffIds } = image.config;
  const layers = await stackLayers(tools, request);
  await labelTree(tools, namespace, image);
  addLabels(tools, namespace, { digest: image.manifest.config.digest, labels: stackLabels(snapshotter.name, diffIds) });
  await tools.layers.unpackStack({ snapshotter, namespace }, layers, {
    signal: request.signal,
    parent: request.parent,
    onState: (i, state) => onLayer?.(diffIds[i]!, state),
  });
  return image.chain.at(-1) ?? "";
}

/** The image's layers with files for those that are to be unpacked. */
export function stackLayers(
  { stores: { content } }: ImageTools,
  { namespace, image, snapshotter }: Pick<UnpackRequest, "namespace" | "image" | "snapshotter">,
): Promise<StackLayer[]> {
  const there = new Set(snapshotter.list(namespace).map(({ name }) => name));
  return Promise.all(
    image.manifest.layers.map(async ({ digest }, i) => {
      const chainId = image.chain[i]!;
      const path = there.has(chainId) ? content.path(namespace, digest) : await content.file(namespace, digest);
      return { path, digest, diffId: image.config.diffIds[i]!, chainId };
    }),
  );
}

async function labelTree(tools: ImageTools, namespace: string, image: ResolvedImage): Promise<void> {
  const { manifest, manifestDescriptor, target } = image;
  addLabels(tools, namespace, {
    digest: manifestDescriptor.digest,
    labels: childLabels(manifest.layers, manifest.config),
  });
  if (target.digest === manifestDescriptor.digest) return;
  const index = parseManifestOrIndex(await tools.reader.document(namespace, target.digest));
  if (isIndex(index)) addLabels(tools, namespace, { digest: target.digest, labels: childLabels(index.manifests) });
}

function addLabels(
  { stores }: ImageTools,
  namespace: string,
  { digest, labels }: { readonly digest: Digest; readonly labels: Readonly<Record<string, string>> },
): void {
  const blob = stores.content.info(namespace, digest);
  const missing = Object.entries(labels).some(([key, value]) => blob.labels[key] !== value);
  if (missing) stores.content.label(namespace, digest, { ...blob.labels, ...labels });
}
