/**
 * A pull: documents first, then the layers, each unpacked as soon as it is there, and the names last. What has arrived is held (pull-leases.ts) until the
 * image has a name.
 */
import { chainIds, type Digest } from "../../oci/digest.ts";
import { type Descriptor, isIndex, parseManifestOrIndex } from "../../oci/image.ts";
import { formatPlatform, hostPlatform, type Platform, platformFit } from "../../oci/platform.ts";
import { formatReference, type Reference, withDefaultTag } from "../../oci/reference.ts";
import type { Credentials } from "../../registry/client/credentials.ts";
import { formatRateLimit } from "../../registry/client/rate-limit.ts";
import type { RepositoryTarget, TransferProgress } from "../../registry/transfer/protocol.ts";
import type { SpanContext } from "../../trace/context.ts";
import { childLabels, stackLabels, writeDocument } from "../images/image-writer.ts";
import type { LayerState, StackLayer } from "../images/layer-store.ts";
import type { Snapshotter } from "../snapshots/snapshotter.ts";
import type { FetchState } from "./blob-fetches.ts";
import { pullFailure } from "./failure.ts";
import { chooseImage, type RemoteImage, resolveTop } from "./pull-documents.ts";
import type { RegistryHost } from "./registry-host.ts";
import { withSource } from "./source-label.ts";

export interface PullRequest {
  readonly namespace: string;
  readonly reference: Reference;
  /** Undefined: this machine's. */
  readonly platform: Platform | undefined;
  readonly snapshotter: Snapshotter;
  readonly credentials: Credentials | undefined;
  /** The name keeps what it stands for: only name@digest is given. */
  readonly onlyDigest: boolean;
  readonly signal: AbortSignal;
  readonly span?: SpanContext | undefined;
  readonly tell: (step: PullStep) => void;
}

export type PullStep =
  | { readonly kind: "resolved"; readonly digest: Digest }
  | { readonly kind: "notice"; readonly text: string }
  | {
      readonly kind: "layer";
      readonly digest: Digest;
      readonly state: PullLayerState;
      readonly current?: number;
      readonly total?: number;
    };

export type PullLayerState =
  | "pulling"
  | "waiting"
  | "downloading"
  | "retrying"
  | "verifying"
  | "downloaded"
  | "extracting"
  | "pulled"
  | "exists";

export interface PulledImage {
  readonly name: string;
  readonly digest: Digest;
  /** The name stood for something else, or for nothing. */
  readonly changed: boolean;
}

/** Below it a registry's pull limit is told. */
const NOTICE_SHARE = 0.25;

export async function pullImage(host: RegistryHost, request: PullRequest): Promise<PulledImage> {
  const reference = withDefaultTag(request.reference);
  try {
    const target = await host.target(reference, request.credentials);
    return await new Pull(host, { ...request, reference }, target).run();
  } catch (error) {
    request.signal.throwIfAborted();
    throw pullFailure(reference, error);
  }
}

class Pull {
  readonly #wanted: Platform;
  /** Blobs that were not here. */
  readonly #fetched = new Set<Digest>();

  constructor(
    private readonly host: RegistryHost,
    private readonly request: PullRequest,
    private readonly target: RepositoryTarget,
  ) {
    this.#wanted = request.platform ?? hostPlatform();
  }

  async run(): Promise<PulledImage> {
    const { namespace, tell } = this.request;
    const top = await resolveTop(this.host, this.#documents);
    const isExplicit = this.request.platform !== undefined;
    const image = await chooseImage(this.host, this.#documents, { top, wanted: this.#wanted, isExplicit });
    tell({ kind: "resolved", digest: top.descriptor.digest });
    const { reference } = this.request;
    const what = `${formatReference(reference)} ${formatPlatform(this.#wanted)}`;
    using lease = this.host.leases.acquire(namespace, what, this.#resources(image));
    await this.#fetchAll(image);
    const done = await this.#finish(image);
    lease.succeeded();
    this.host.tools.collector.schedule();
    return done;
  }

  get #documents() {
    const { namespace, reference, signal } = this.request;
    return { namespace, reference, target: this.target, signal, onProgress: this.#notice };
  }

  readonly #notice = (progress: TransferProgress): void => {
    if (progress.kind !== "limit" || progress.limit.remaining > progress.limit.limit * NOTICE_SHARE) return;
    const advice = this.request.credentials === undefined ? "; log in for more" : "";
    this.request.tell({ kind: "notice", text: `${formatRateLimit(progress.limit)}${advice}` });
  };

  /** Of the lease: everything that the image will consist of. */
  #resources({ top, manifest, config }: RemoteImage) {
    const blobs = [top.descriptor, manifest.descriptor, config.descriptor, ...manifest.parsed.layers];
    const { name } = this.request.snapshotter;
    return [
      ...blobs.map(({ digest }) => ({ type: "content", id: digest })),
      ...chainIds(config.parsed.diffIds).map((chainId) => ({ type: `snapshots/${name}`, id: chainId })),
    ];
  }

  /** The first failure ends the rest: what has arrived of them stays. */
  async #fetchAll(image: RemoteImage): Promise<void> {
    const failed = new AbortController();
    const signal = AbortSignal.any([this.request.signal, failed.signal]);
    let failure: unknown;
    const arrivals = new Map<Digest, Promise<void>>();
    for (const layer of image.manifest.parsed.layers) {
      if (arrivals.has(layer.digest)) continue;
      const arrival = this.#arrival(layer, image, signal);
      arrival.catch((error) => {
        failure ??= error;
        failed.abort(error);
      });
      arrivals.set(layer.digest, arrival);
    }
    try {
      await this.#unpack(image, arrivals, signal);
      await Promise.all(arrivals.values());
    } catch (error) {
      failed.abort(error);
      await Promise.allSettled(arrivals.values());
      throw failure ?? error;
    }
  }

  #arrival(layer: Descriptor, image: RemoteImage, signal: AbortSignal): Promise<void> {
    const { namespace, tell } = this.request;
    const { digest, size: total } = layer;
    if (this.host.tools.stores.content.find(namespace, digest)) {
      if (!this.#isUnpacked(digest, image)) {
        tell({ kind: "layer", digest, state: "pulling" });
        tell({ kind: "layer", digest, state: "downloaded" });
      }
      return Promise.resolve();
    }
    this.#fetched.add(digest);
    tell({ kind: "layer", digest, state: "pulling" });
    const onState = (state: FetchState): void => {
      if (state.kind === "downloading")
        tell({ kind: "layer", digest, state: "downloading", current: state.current, total });
      else if (state.kind === "retrying") tell({ kind: "layer", digest, state: "retrying", current: state.seconds });
      else tell({ kind: "layer", digest, state: state.kind });
    };
    return this.host.fetches.fetch({ namespace, descriptor: layer, target: this.target, signal, onState });
  }

  #isUnpacked(digest: Digest, { manifest, config }: RemoteImage): boolean {
    const { namespace, snapshotter } = this.request;
    const chain = chainIds(config.parsed.diffIds);
    const there = new Set(snapshotter.list(namespace).map(({ name }) => name));
    return manifest.parsed.layers.every((layer, i) => layer.digest !== digest || there.has(chain[i]!));
  }

  async #unpack(image: RemoteImage, arrivals: ReadonlyMap<Digest, Promise<void>>, signal: AbortSignal): Promise<void> {
    const { namespace, snapshotter, span, tell } = this.request;
    const { diffIds } = image.config.parsed;
    const { layers } = image.manifest.parsed;
    const { content } = this.host.tools.stores;
    const chain = chainIds(diffIds);
    const stack = await Promise.all(
      layers.map(async ({ digest }, i): Promise<StackLayer> => {
        // A blob whose file has to be made is no file before it was.
        const known = content.find(namespace, digest) && !this.#isUnpacked(digest, image);
        const path = known ? await content.file(namespace, digest) : content.blobPath(digest);
        return { path, digest, diffId: diffIds[i]!, chainId: chain[i]!, arrival: arrivals.get(digest)! };
      }),
    );
    const onState = (i: number, state: LayerState): void => {
      const { digest, size } = layers[i]!;
      if (state === "exists")
        void arrivals.get(digest)!.then(
          () => tell({ kind: "layer", digest, state: this.#fetched.has(digest) ? "pulled" : "exists" }),
          () => {},
        );
      if (state === "unpacking") tell({ kind: "layer", digest, state: "extracting", current: 0, total: size });
      if (state !== "done") return;
      tell({ kind: "layer", digest, state: "extracting", current: size, total: size });
      tell({ kind: "layer", digest, state: "pulled" });
    };
    await this.host.tools.layers.unpackStack({ snapshotter, namespace }, stack, { signal, parent: span, onState });
  }

  /** Documents with the labels by which collection follows them, then the names: from here on it is an image. */
  async #finish(image: RemoteImage): Promise<PulledImage> {
    const { namespace, snapshotter, reference } = this.request;
    const { content, images } = this.host.tools.stores;
    const { top, manifest, config } = image;
    const source = withSource({}, reference);
    const write = (document: { descriptor: Descriptor; bytes: Buffer }, labels: Record<string, string>) =>
      writeDocument(content, namespace, { mediaType: document.descriptor.mediaType, bytes: document.bytes, labels });
    for (const { digest } of manifest.parsed.layers) {
      const { labels } = content.info(namespace, digest);
      content.label(namespace, digest, withSource(labels, reference));
    }
    await write(config, { ...source, ...stackLabels(snapshotter.name, config.parsed.diffIds) });
    await write(manifest, { ...source, ...childLabels(manifest.parsed.layers, manifest.parsed.config) });
    const target = this.#isForeign(image) ? manifest.descriptor : top.descriptor;
    const document = parseManifestOrIndex(top.bytes, top.descriptor.mediaType);
    if (isIndex(document) && target === top.descriptor)
      await write(top, { ...source, ...childLabels(document.manifests) });
    const name = formatReference(reference);
    // Of several platforms that are pulled beside what the name stands for each has a name.
    const digest = this.request.onlyDigest ? target.digest : top.descriptor.digest;
    const plain: Descriptor = { mediaType: target.mediaType, digest: target.digest, size: target.size };
    const before = images.find(namespace, name);
    const changed = before?.target.digest !== plain.digest;
    const byDigest = formatReference({ domain: reference.domain, path: reference.path, digest });
    if (byDigest !== name) images.point(namespace, { name: byDigest, target: plain, labels: {} }, false);
    if (this.request.onlyDigest) return { name: byDigest, digest, changed };
    images.point(namespace, { name, target: plain, labels: {} }, true);
    return { name, digest, changed };
  }

  /** An index is kept whole where this machine finds its own manifest in it; of another platform only that manifest is the image. */
  #isForeign({ config }: RemoteImage): boolean {
    return platformFit(hostPlatform(), config.parsed.platform) === 0;
  }
}
