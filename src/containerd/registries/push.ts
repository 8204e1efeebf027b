/**
 * A push: what the registry lacks of an image's layers, then the config, then the manifest under its name. Layers that are kept as directories only are made
 * and compressed, once: the image then has them as blobs, and the manifest that was pushed is the one that its name stands for here too.
 */
import { randomBytes } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, digestOf } from "../../oci/digest.ts";
import { type Descriptor, type Manifest, mediaTypes } from "../../oci/image.ts";
import { formatReference, type Reference } from "../../oci/reference.ts";
import { codeOf, HullError } from "../../platform/errors.ts";
import type { Credentials } from "../../registry/client/credentials.ts";
import { lists } from "../../registry/client/settings.ts";
import type { RepositoryTarget, TransferProgress } from "../../registry/transfer/protocol.ts";
import type { ResolvedImage } from "../images/image-details.ts";
import { childLabels, GIVEN_LABEL, writeDocument } from "../images/image-writer.ts";
import type { ImageRecord } from "../store/images.ts";
import { type PushedDocument, type Sender, sendIndex } from "./push-index.ts";
import type { RegistryHost } from "./registry-host.ts";
import { sourceLabel, withSource } from "./source-label.ts";

export interface PushRequest {
  readonly namespace: string;
  /** Where to, with a tag. */
  readonly reference: Reference;
  readonly record: ImageRecord;
  readonly credentials: Credentials | undefined;
  readonly signal: AbortSignal;
  readonly tell: (step: PushStep) => void;
}

export interface PushStep {
  readonly diffId: Digest;
  readonly state: "preparing" | "waiting" | "pushing" | "retrying" | "pushed" | "exists" | "mounted" | "skipped";
  readonly current?: number;
  readonly total?: number;
  readonly from?: string;
}

/** On the record of a plain layer: the blob that it is as gzip. */
const GZIP_LABEL = "hull.layer.gzip";

export async function pushImage(host: RegistryHost, request: PushRequest): Promise<Descriptor> {
  const target = await host.target(request.reference, request.credentials);
  const { namespace, record, reference } = request;
  const { reader, collector } = host.tools;
  using _ = collector.hold(); // Until it is over.
  const sender: Sender = {
    send: (image) => new Push(host, request, { target, image }).send(),
    blob: (image, blob) => new Push(host, request, { target, image }).blob(blob, () => {}),
    put: async (document) => {
      await host.transfers.ask("putManifest", { target, ...document }, { signal: request.signal });
    },
    isThere: (digest) => isAtRegistry(host, { target, name: digest }, request.signal),
  };
  const image = await reader.resolve(namespace, record.target, undefined);
  const pushed = await sender.send(image);
  const index = await sendIndex(host, { namespace, target: record.target, image, pushed, reference }, sender);
  const { bytes, descriptor } = index ?? pushed;
  const { tag = "latest" } = reference;
  await sender.put({ name: tag, mediaType: descriptor.mediaType, base64: bytes.toString("base64") });
  nameIt(host, request, descriptor);
  return descriptor;
}

async function isAtRegistry(
  { transfers }: RegistryHost,
  asked: { readonly target: RepositoryTarget; readonly name: string },
  signal: AbortSignal,
): Promise<boolean> {
  try {
    return (await transfers.ask("head", asked, { signal })) !== null;
  } catch (error) {
    if (codeOf(error) !== "not-found") throw error;
    return false;
  }
}

/** Name and digest stand for what was pushed. */
function nameIt({ tools }: RegistryHost, { namespace, reference, record }: PushRequest, target: Descriptor): void {
  const { images } = tools.stores;
  const plain: Descriptor = { mediaType: target.mediaType, digest: target.digest, size: target.size };
  const byDigest = formatReference({ domain: reference.domain, path: reference.path, digest: target.digest });
  images.point(namespace, { name: byDigest, target: plain, labels: {} }, false);
  const name = formatReference(reference);
  // Somebody may have moved the name meanwhile.
  if (images.find(namespace, name)?.target.digest === record.target.digest)
    images.point(namespace, { name, target: plain, labels: {} }, false);
}

/** One image. */
class Push {
  readonly #failed = new AbortController();
  readonly #signal: AbortSignal;
  readonly #target: RepositoryTarget;
  readonly #image: ResolvedImage;

  constructor(
    private readonly host: RegistryHost,
    private readonly request: PushRequest,
    { target, image }: { readonly target: RepositoryTarget; readonly image: ResolvedImage },
  ) {
    this.#signal = AbortSignal.any([request.signal, this.#failed.signal]);
    this.#target = target;
    this.#image = image;
  }

  /** All but the manifest, which is answered as it goes out. */
  async send(): Promise<PushedDocument> {
    const layers = await this.#layers();
    await this.blob(this.#image.manifest.config, () => {});
    return this.#manifest(layers);
  }

  /** Top first, as dockerd tells them. One that fails ends the others. */
  async #layers(): Promise<Descriptor[]> {
    const { manifest, config } = this.#image;
    for (const diffId of config.diffIds.toReversed()) this.request.tell({ diffId, state: "preparing" });
    const jobs = new Map<Digest, Promise<Descriptor>>();
    let failure: unknown;
    for (const [i, layer] of [...manifest.layers.entries()].reverse()) {
      if (jobs.has(layer.digest)) continue;
      const diffId = config.diffIds[i]!;
      const waits = () => this.request.tell({ diffId, state: "waiting" });
      const job = this.host.uploads.run(() => this.#layer(layer, diffId), waits);
      job.catch((error) => {
        failure ??= error;
        this.#failed.abort(error);
      });
      jobs.set(layer.digest, job);
    }
    await Promise.allSettled(jobs.values());
    if (failure !== undefined) throw failure;
    return Promise.all(manifest.layers.map((layer) => jobs.get(layer.digest)!));
  }

  async #layer(layer: Descriptor, diffId: Digest): Promise<Descriptor> {
    this.#signal.throwIfAborted();
    const tell = (step: Omit<PushStep, "diffId">): void => this.request.tell({ ...step, diffId });
    if (this.#staysHere(layer)) {
      tell({ state: "skipped" });
      return layer;
    }
    const blob = await this.#compressed(layer, diffId);
    await this.blob(blob, tell);
    return blob;
  }

  /** Of limited distribution: only registries that the administrator lists get it. */
  #staysHere({ mediaType }: Descriptor): boolean {
    const { reference, settings } = this.#target;
    return /\.foreign\.|nondistributable/.test(mediaType) && !lists(settings.allowNondistributable, reference.domain);
  }

  /** The blob as it goes out: a plain layer as gzip, which is kept. */
  async #compressed(layer: Descriptor, diffId: Digest): Promise<Descriptor> {
    const gzip = gzipTypeOf(layer.mediaType);
    const { content } = this.host.tools.stores;
    const { namespace } = this.request;
    if (gzip === undefined || layer.digest !== diffId) return layer;
    const info = content.info(namespace, layer.digest);
    // Somebody else's manifest names it: it goes as it came.
    if (GIVEN_LABEL in info.labels) return layer;
    const known = info.labels[GZIP_LABEL] as Digest | undefined;
    const found = known && content.find(namespace, known);
    if (found) return { mediaType: gzip, digest: found.digest, size: found.size };
    const path = join(this.host.tools.scratch, `gzip-${randomBytes(8).toString("hex")}`);
    try {
      await using plain = await content.lend(namespace, layer.digest);
      const onProgress = (progress: TransferProgress): void => {
        if (progress.kind === "bytes") this.request.tell({ diffId, state: "pushing", current: 0, total: layer.size });
      };
      const made = await this.host.transfers.ask(
        "compress",
        { source: plain.path, target: path },
        { signal: this.#signal, onProgress },
      );
      await content.adopt(namespace, path, { digest: made.digest, labels: { "containerd.io/uncompressed": diffId } });
      const { labels } = content.info(namespace, layer.digest);
      content.label(namespace, layer.digest, { ...labels, [GZIP_LABEL]: made.digest });
      return { mediaType: gzip, digest: made.digest, size: made.size };
    } finally {
      await rm(path, { force: true });
    }
  }

  async blob({ digest, size }: Descriptor, tell: (step: Omit<PushStep, "diffId">) => void): Promise<void> {
    const { transfers, tools } = this.host;
    const { content } = tools.stores;
    const [target, signal, { namespace }] = [this.#target, this.#signal, this.request];
    if (await transfers.ask("has", { target, digest }, { signal })) tell({ state: "exists" });
    else {
      const sources = this.#sources(digest);
      const from =
        sources.length === 0 ? null : await transfers.ask("mount", { target, digest, from: sources }, { signal });
      if (from !== null) tell({ state: "mounted", from });
      else {
        tell({ state: "pushing", current: 0, total: size });
        const onProgress = (progress: TransferProgress): void => {
          if (progress.kind === "bytes") tell({ state: "pushing", current: progress.current, total: size });
          if (progress.kind === "retry") tell({ state: "retrying", current: progress.seconds });
        };
        await using file = await content.lend(namespace, digest);
        await transfers.ask("upload", { target, blob: { digest, size, path: file.path } }, { signal, onProgress });
        tell({ state: "pushed" });
      }
    }
    content.label(namespace, digest, withSource(content.info(namespace, digest).labels, this.request.reference));
  }

  /** Repositories of the same registry that have the blob. */
  #sources(digest: Digest): string[] {
    const { domain, path } = this.request.reference;
    const { labels } = this.host.tools.stores.content.info(this.request.namespace, digest);
    return (labels[sourceLabel(domain)] ?? "").split(",").filter((source) => source !== "" && source !== path);
  }

  /** As it was where its layers are; with the compressed ones in their place otherwise. */
  async #manifest(layers: readonly Descriptor[]): Promise<PushedDocument> {
    const { namespace } = this.request;
    const { manifest, manifestDescriptor } = this.#image;
    const { reader, stores } = this.host.tools;
    const bytes = await reader.document(namespace, manifestDescriptor.digest);
    const isSame = layers.every(({ digest }, i) => digest === manifest.layers[i]!.digest);
    if (isSame) return { bytes, descriptor: { ...manifestDescriptor, mediaType: manifest.mediaType } };
    const made = withLayers(bytes, manifest, layers);
    const labels = withSource(childLabels(layers, manifest.config), this.request.reference);
    const descriptor = await writeDocument(stores.content, namespace, {
      mediaType: manifest.mediaType,
      bytes: made,
      labels,
    });
    return { bytes: made, descriptor };
  }
}

function gzipTypeOf(mediaType: string): string | undefined {
  if (mediaType === mediaTypes.ociLayer) return mediaTypes.ociLayerGzip;
  return mediaType === mediaTypes.dockerLayer ? mediaTypes.dockerLayerGzip : undefined;
}

/** The same document with other layers; whatever else stands in it stays. */
function withLayers(bytes: Buffer, manifest: Manifest, layers: readonly Descriptor[]): Buffer {
  const json = JSON.parse(bytes.toString("utf8")) as Record<string, unknown>;
  const before = json.layers as readonly Record<string, unknown>[];
  if (before.length !== layers.length)
    throw new HullError("internal", `manifest ${digestOf(bytes)} has ${before.length} layers`);
  const next = layers.map(({ mediaType, digest, size }, i) => ({ ...before[i], mediaType, digest, size }));
  return Buffer.from(JSON.stringify({ ...json, mediaType: manifest.mediaType, layers: next }));
}
