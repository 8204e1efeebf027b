/** The image cache: containerd's records in memory, kept right by its events and by what we change ourselves. */
import type { ContainerdClient } from "../../containerd/client.ts";
import { codeOf, HullError } from "../../platform/errors.ts";
import type { EventBus } from "../events/api.ts";
import type { ImageService, ImageUser, ResolvedImage } from "./api.ts";
import {
  buildCatalog,
  type Catalog,
  emptyCatalog,
  findImage,
  fitsPlatform,
  type Image,
  type ImageDetails,
  noSuchImage,
  repoTags,
  requirePlatform,
  type Target,
} from "./catalog.ts";

type WireDetails = Awaited<ReturnType<ContainerdClient["imageStore"]["list"]>>["images"][number];

export interface ImageParts {
  readonly containerd: ContainerdClient;
  readonly events: EventBus;
  /** Containers made from an image. */
  readonly users: (imageId: string) => readonly ImageUser[];
  /** Told when containerd could not be asked. */
  readonly onFailure: (what: string, error: unknown) => void;
}

/** How long a request waits for containerd's first answer after a start. */
const FIRST_ANSWER_MS = 10_000;

export class Images implements ImageService {
  #catalog: Catalog = emptyCatalog;
  #filled = Promise.withResolvers<void>();
  #reading: Promise<void> | undefined;
  #again = false;

  constructor(readonly parts: ImageParts) {}

  get catalog(): Catalog {
    return this.#catalog;
  }

  /** Reads every record anew. Calls while one runs are answered by one more reading after it. */
  reload(): Promise<void> {
    if (this.#reading) {
      this.#again = true;
      return this.#reading;
    }
    this.#reading = this.#readUntilQuiet().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async resolve(reference: string, platform = ""): Promise<ResolvedImage> {
    await withDeadline(this.#filled.promise, FIRST_ANSWER_MS);
    // What is being read anew may be the very name.
    if (this.#reading) await withDeadline(this.#reading, FIRST_ANSWER_MS);
    // One that was built a moment ago may be on its way here: hull-containerd knows.
    if (!findImage(this.#catalog, reference)) await withDeadline(this.reload(), FIRST_ANSWER_MS);
    const image = this.get(reference);
    const variant = fitsPlatform(image, platform) ? image : await this.#variant(image, platform);
    requirePlatform(variant ?? image, reference, platform);
    return resolved(variant ?? image, reference);
  }

  /** The image for another platform where the name stands for several; undefined when that one is not here. */
  async #variant(image: Image, platform: string): Promise<Image | undefined> {
    const several = image.records.find(({ target }) => target.digest !== image.manifest.digest);
    if (!several) return undefined;
    try {
      const details = await this.parts.containerd.imageStore.get({ name: several.name, platform });
      const [found] = buildCatalog(plainDetails(details)).byId.values();
      return found && { ...found, records: image.records };
    } catch (error) {
      if (codeOf(error) === "not-found") return undefined;
      throw error;
    }
  }

  find(reference: string): ResolvedImage | undefined {
    const image = findImage(this.#catalog, reference);
    return image && resolved(image, reference);
  }

  async refresh(recordName: string): Promise<ResolvedImage> {
    await this.reload();
    const image = this.#catalog.byName.get(recordName) ?? this.get(recordName);
    return resolved(image, recordName);
  }

  /** Throws not-found in Docker's words. */
  get(reference: string): Image {
    const image = findImage(this.#catalog, reference);
    if (!image) throw noSuchImage(reference);
    return image;
  }

  /** Publishes an image event with the attributes Docker gives: name and the image's labels. */
  publish(action: string, image: Pick<Image, "id" | "labels">, name: string): void {
    this.parts.events.publish({ type: "image", action, id: image.id, attributes: { ...image.labels, name } });
  }

  async #readUntilQuiet(): Promise<void> {
    do {
      this.#again = false;
      const { images } = await this.parts.containerd.imageStore.list({});
      this.#catalog = buildCatalog(images.flatMap(plainDetails), this.#catalog);
    } while (this.#again);
    this.#filled.resolve();
  }
}

async function withDeadline(promise: Promise<void>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new HullError("unavailable", "hull-containerd does not answer yet: try again")),
      ms,
    );
  });
  try {
    await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Records whose content is not complete here are no images yet. */
function plainDetails(wire: WireDetails): ImageDetails[] {
  if (!wire.manifest || wire.configDigest === "") return [];
  return [
    {
      name: wire.name,
      target: plainTarget(wire.target ?? wire.manifest),
      manifest: plainTarget(wire.manifest),
      configDigest: wire.configDigest,
      config: wire.config,
      layers: wire.layers.map((layer) => ({
        diffId: layer.diffId,
        chainId: layer.chainId,
        bytes: Number(layer.unpackedSize < 0n ? layer.size : layer.unpackedSize),
      })),
      updatedAtMs: wire.updatedAt ? Number(wire.updatedAt.seconds) * 1000 + wire.updatedAt.nanos / 1e6 : 0,
      chainId: wire.chainId,
    },
  ];
}

const plainTarget = ({ mediaType, digest, size }: NonNullable<WireDetails["manifest"]>): Target => ({
  mediaType,
  digest,
  size: Number(size),
});

function resolved(image: Image, reference: string): ResolvedImage {
  return {
    id: image.id,
    reference,
    recordName: image.records[0]!.name,
    config: image.config,
    chainId: image.chainId,
    manifest: image.manifest,
    repoTags: repoTags(image),
  };
}
