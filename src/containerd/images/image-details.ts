/** An image record resolved through the content store: its manifest for a platform, its config, its layers. */
import { chainIds, type Digest } from "../../oci/digest.ts";
import {
  chooseManifest,
  type Descriptor,
  type ImageConfig,
  isAttestation,
  isIndex,
  MAX_DOCUMENT_BYTES,
  type Manifest,
  parseImageConfig,
  parseManifestOrIndex,
} from "../../oci/image.ts";
import { formatPlatform, hostPlatform, type Platform } from "../../oci/platform.ts";
import { during, HullError } from "../../platform/errors.ts";
import type { ContentStore } from "../content/content-store.ts";

/** Documents stay parsed in memory: they never change under their digest. */
const MAX_CACHED = 2048;

export interface ResolvedImage {
  readonly target: Descriptor;
  readonly manifestDescriptor: Descriptor;
  readonly manifest: Manifest;
  readonly config: ImageConfig;
  readonly configBytes: Buffer;
  /** Names of the snapshots of the stack, base first. */
  readonly chain: readonly Digest[];
}

export class ImageReader {
  readonly #cache = new Map<string, Promise<ResolvedImage>>();

  constructor(private readonly content: ContentStore) {}

  /**
   * `platform`: undefined takes this machine's, else the first that is here whole. Throws `not-found` when a document is missing or no
   * manifest serves the platform.
   */
  resolve(namespace: string, target: Descriptor, platform: Platform | undefined): Promise<ResolvedImage> {
    const key = [namespace, target.digest, platform ? formatPlatform(platform) : ""].join("\0");
    const cached = this.#cache.get(key);
    if (cached) return cached;
    const resolving = this.#resolve(namespace, target, platform);
    this.#cache.set(key, resolving);
    resolving.catch(() => this.#cache.delete(key));
    if (this.#cache.size > MAX_CACHED) this.#cache.delete(this.#cache.keys().next().value!);
    return resolving;
  }

  /** Blobs went: what was resolved may not be whole any more. */
  forget(): void {
    this.#cache.clear();
  }

  /** A manifest, index or config: at most MAX_DOCUMENT_BYTES. */
  async document(namespace: string, digest: Digest): Promise<Buffer> {
    const { size } = this.content.info(namespace, digest);
    if (size > MAX_DOCUMENT_BYTES) {
      throw new HullError(
        "invalid-argument",
        `${digest} has ${size} bytes, a manifest or config at most ${MAX_DOCUMENT_BYTES}`,
      );
    }
    await using file = await this.content.open(namespace, digest);
    return file.readFile();
  }

  async #resolve(namespace: string, target: Descriptor, platform: Platform | undefined): Promise<ResolvedImage> {
    try {
      const { descriptor, manifest } = await this.#manifest(namespace, target, platform);
      const configBytes = await this.document(namespace, manifest.config.digest);
      const config = parseImageConfig(configBytes);
      if (config.diffIds.length !== manifest.layers.length) {
        const counts = `${manifest.layers.length} layers in the manifest, ${config.diffIds.length} in the config`;
        throw new HullError("invalid-argument", counts);
      }
      return { target, manifestDescriptor: descriptor, manifest, config, configBytes, chain: chainIds(config.diffIds) };
    } catch (error) {
      throw during(`image ${target.digest}`, error);
    }
  }

  async #manifest(
    namespace: string,
    target: Descriptor,
    platform: Platform | undefined,
  ): Promise<{ descriptor: Descriptor; manifest: Manifest }> {
    const document = parseManifestOrIndex(await this.document(namespace, target.digest), target.mediaType || undefined);
    if (!isIndex(document)) return { descriptor: target, manifest: document };
    const present = document.manifests.filter((entry) => this.content.find(namespace, entry.digest) !== undefined);
    const wanted = platform ?? hostPlatform();
    const here = { ...document, manifests: present };
    const chosen =
      chooseManifest(here, wanted) ??
      (platform ? undefined : present.find((entry) => !isAttestation(entry))) ??
      chooseManifest(document, wanted);
    if (chosen === undefined) {
      throw new HullError("not-found", `no manifest for platform ${formatPlatform(wanted)}`);
    }
    const bytes = await this.document(namespace, chosen.digest);
    const manifest = parseManifestOrIndex(bytes, chosen.mediaType);
    if (isIndex(manifest)) throw new HullError("invalid-argument", `${chosen.digest} is an index inside an index`);
    return { descriptor: chosen, manifest };
  }
}
