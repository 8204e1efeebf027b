/** hull.containerd.v1.ImageStore */
import { realpath } from "node:fs/promises";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { Descriptor } from "../../oci/image.ts";
import { hostPlatform, type Platform, parsePlatform } from "../../oci/platform.ts";
import { codeOf, HullError } from "../../platform/errors.ts";
import type { AddLayerRequest, ImageStore, LoadRequest } from "../gen/hull/containerd/v1/images_pb.ts";
import { addLayer } from "../images/add-layer.ts";
import { commitLayer } from "../images/commit-layer.ts";
import { exportImages } from "../images/export.ts";
import type { ResolvedImage } from "../images/image-details.ts";
import type { ImageTools } from "../images/image-tools.ts";
import { sizeOf } from "../images/layer-labels.ts";
import { loadImages } from "../images/load.ts";
import { Progressed } from "../images/progressed.ts";
import { listStack } from "../images/stack.ts";
import { unpackImage } from "../images/unpack.ts";
import type { ImageRecord } from "../store/images.ts";
import { callOf, namespaceOf } from "./call.ts";
import { toTimestamp, toWireDescriptor } from "./convert.ts";

export interface ImageStoreServiceOptions {
  readonly tools: ImageTools;
  readonly dataRoot: string;
}

export function imageStoreService({ tools, dataRoot }: ImageStoreServiceOptions): ServiceImpl<typeof ImageStore> {
  const { snapshotters } = tools.stores;
  return {
    get: async ({ name, platform }, context) =>
      detailsOf(tools, namespaceOf(context), await findImage(tools, namespaceOf(context), name), given(platform)),
    list: async (_, context) => ({ images: await listDetails(tools, namespaceOf(context)) }),
    load: (request, context) => load({ tools, dataRoot }, request, context),
    async *export({ images, platform }, context) {
      const namespace = namespaceOf(context);
      const exported = new Map<string, { image: ResolvedImage; references: string[] }>();
      for (const { image: name, reference } of images) {
        const record = await findImage(tools, namespace, name);
        const image = await tools.reader.resolve(namespace, record.target, given(platform));
        const entry = exported.get(image.manifestDescriptor.digest) ?? { image, references: [] };
        if (reference !== "") entry.references.push(reference);
        exported.set(image.manifestDescriptor.digest, entry);
      }
      using _ = tools.collector.hold();
      for await (const data of exportImages(tools.stores.content, namespace, [...exported.values()])) yield { data };
    },
    commitLayer: async ({ key, snapshotter, labels }, context) => {
      const made = await commitLayer(tools, {
        namespace: namespaceOf(context),
        key,
        snapshotter: snapshotters.get(snapshotter),
        labels,
        signal: context.signal,
        span: callOf(context).span.context,
      });
      return { ...made, tarBytes: BigInt(made.tarBytes), unpackedBytes: BigInt(made.unpackedBytes) };
    },
    stack: async ({ chainId, snapshotter }, context) => ({
      layers: await listStack(tools, {
        namespace: namespaceOf(context),
        chainId,
        snapshotter: snapshotters.get(snapshotter),
      }),
    }),
    addLayer: (request, context) => newImage({ tools, dataRoot }, request, context),
    async *unpack({ name, snapshotter, platform }, context) {
      const namespace = namespaceOf(context);
      const record = await findImage(tools, namespace, name);
      const image = await tools.reader.resolve(namespace, record.target, given(platform));
      const progress = new Progressed<ReturnType<typeof layerStep>>();
      const work = unpackImage(tools, {
        namespace,
        image,
        snapshotter: snapshotters.get(snapshotter),
        signal: context.signal,
        parent: callOf(context).span.context,
        onLayer: (diffId, state) => progress.push(layerStep(diffId, state)),
      });
      yield* progress.until(work);
    },
  };
}

async function* load({ tools, dataRoot }: ImageStoreServiceOptions, asked: LoadRequest, context: HandlerContext) {
  const { directory, snapshotter, platform, keepReplaced } = asked;
  const namespace = namespaceOf(context);
  tools.stores.namespaces.ensure(namespace);
  const progress = new Progressed<ReturnType<typeof layerStep>>();
  const request = {
    namespace,
    directory: await insideRoot(dataRoot, directory),
    snapshotter: tools.stores.snapshotters.get(snapshotter),
    platform: wanted(platform),
    keepReplaced,
    signal: context.signal,
    parent: callOf(context).span.context,
    onLayer: (diffId: string, state: string) => progress.push(layerStep(diffId, state)),
  };
  for await (const item of progress.interleave(loadImages(tools, request))) {
    yield "step" in item ? item : { step: { case: "loaded" as const, value: loadedName(item) } };
  }
}

async function newImage(
  { tools, dataRoot }: ImageStoreServiceOptions,
  request: AddLayerRequest,
  context: HandlerContext,
) {
  const namespace = namespaceOf(context);
  tools.stores.namespaces.ensure(namespace);
  const { source, parent, config, name, snapshotter, keepReplaced } = request;
  const below = parent === "" ? undefined : await findImage(tools, namespace, parent);
  const image = await addLayer(tools, {
    namespace,
    source: await layerSource(dataRoot, source),
    parent: below && (await tools.reader.resolve(namespace, below.target, undefined)),
    config,
    name,
    snapshotter: tools.stores.snapshotters.get(snapshotter),
    keepReplaced,
    span: callOf(context).span.context,
    signal: context.signal,
  });
  return detailsOf(tools, namespace, image);
}

const given = (platform: string): Platform | undefined => (platform === "" ? undefined : parsePlatform(platform));

const wanted = (platform: string): Platform => (platform === "" ? hostPlatform() : parsePlatform(platform));

const layerStep = (diffId: string, state: string) => ({ step: { case: "layer" as const, value: { diffId, state } } });

const loadedName = (loaded: { name: string; named: boolean; configDigest: string }) => ({
  name: loaded.named ? loaded.name : "",
  configDigest: loaded.configDigest,
});

/** By name, else by the digest of target, manifest or config. Throws `not-found`. */
export async function findImage(tools: ImageTools, namespace: string, name: string): Promise<ImageRecord> {
  const { images } = tools.stores;
  const named = images.find(namespace, name);
  if (named) return named;
  const all = images.list(namespace);
  const targeted = all.find((image) => image.target.digest === name);
  if (targeted) return targeted;
  for (const image of name.startsWith("sha256:") ? all : []) {
    const resolved = await resolveIfWhole(tools, namespace, image.target);
    if (resolved?.manifest.config.digest === name || resolved?.manifestDescriptor.digest === name) return image;
  }
  throw new HullError("not-found", `image "${name}": not found`);
}

/** Undefined when documents of it are missing: its pull was cut off. */
async function resolveIfWhole(
  tools: ImageTools,
  namespace: string,
  target: Descriptor,
): Promise<ResolvedImage | undefined> {
  try {
    return await tools.reader.resolve(namespace, target, undefined);
  } catch (error) {
    if (codeOf(error) === "not-found") return undefined;
    throw error;
  }
}

async function listDetails(tools: ImageTools, namespace: string) {
  const records = tools.stores.images.list(namespace);
  const whole = await Promise.all(
    records.map(async (record) => ((await resolveIfWhole(tools, namespace, record.target)) ? [record] : [])),
  );
  return Promise.all(whole.flat().map((record) => detailsOf(tools, namespace, record)));
}

async function detailsOf(tools: ImageTools, namespace: string, record: ImageRecord, platform?: Platform) {
  const image = await tools.reader.resolve(namespace, record.target, platform);
  const sizes = new Map(
    tools.stores.snapshotters
      .all()
      .flatMap((store) => store.list(namespace).map((info) => [info.name, sizeOf(info)] as const)),
  );
  return {
    name: record.name,
    target: toWireDescriptor(record.target),
    manifest: toWireDescriptor(image.manifestDescriptor),
    configDigest: image.manifest.config.digest,
    config: image.configBytes,
    layers: image.manifest.layers.map(({ digest, mediaType, size }, i) => ({
      digest,
      mediaType,
      size: BigInt(size),
      diffId: image.config.diffIds[i]!,
      chainId: image.chain[i]!,
      unpackedSize: BigInt(sizes.get(image.chain[i]!) ?? -1),
    })),
    createdAt: toTimestamp(record.createdAt),
    updatedAt: toTimestamp(record.updatedAt),
    labels: { ...record.labels },
    chainId: image.chain.at(-1) ?? "",
  };
}

type WireSource = { case: "snapshot" | "tar"; value: string } | { case: undefined; value?: undefined };

async function layerSource(dataRoot: string, source: WireSource) {
  if (source.case === undefined) return undefined;
  return source.case === "snapshot" ? { snapshot: source.value } : { tar: await insideRoot(dataRoot, source.value) };
}

/** Files are moved away, so they must be below the data root. */
async function insideRoot(dataRoot: string, path: string): Promise<string> {
  const [root, real] = await Promise.all([realpath(dataRoot), realpath(path)]);
  if (!real.startsWith(`${root}/`))
    throw new HullError("invalid-argument", `${path} is not below the data root ${dataRoot}`);
  return real;
}
