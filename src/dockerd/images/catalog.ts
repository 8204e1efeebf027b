/** All images of the engine as one immutable value made from containerd's records. Pure. */
import { type ImageConfig, parseImageConfig } from "../../oci/image.ts";
import { formatPlatform, parsePlatform, platformFit } from "../../oci/platform.ts";
import {
  familiarReference,
  familiarRepository,
  parseReference,
  type Reference,
  withDefaultTag,
} from "../../oci/reference.ts";
import { HullError } from "../../platform/errors.ts";

/** What containerd says of one record (hull.containerd.v1.ImageDetails without its wire types). */
export interface ImageDetails {
  readonly name: string;
  /** What the record points at: the manifest, or an index of several. */
  readonly target: Target;
  readonly manifest: Target;
  readonly configDigest: string;
  readonly config: Uint8Array;
  readonly layers: readonly ImageLayer[];
  /** Milliseconds since the epoch. */
  readonly updatedAtMs: number;
  readonly chainId: string;
}

export interface Target {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

export interface ImageLayer {
  readonly diffId: string;
  readonly chainId: string;
  /** Of the unpacked files; of the blob where it is not unpacked. */
  readonly bytes: number;
}

export interface ImageRecord {
  readonly name: string;
  /** Undefined for a record that only keeps an unnamed image. */
  readonly reference: Reference | undefined;
  readonly target: Target;
  readonly updatedAtMs: number;
}

export interface Image {
  /** Docker's image id: the digest of its config. */
  readonly id: string;
  readonly config: ImageConfig;
  readonly createdMs: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly layers: readonly ImageLayer[];
  readonly chainId: string;
  readonly manifest: Target;
  readonly records: readonly ImageRecord[];
}

export interface Catalog {
  readonly byId: ReadonlyMap<string, Image>;
  /** By record name in full. */
  readonly byName: ReadonlyMap<string, Image>;
}

export const emptyCatalog: Catalog = { byId: new Map(), byName: new Map() };

const DANGLING = "moby-dangling@";
export const danglingName = (digest: string): string => `${DANGLING}${digest}`;

export function buildCatalog(details: readonly ImageDetails[], before: Catalog = emptyCatalog): Catalog {
  const byId = new Map<string, Image>();
  for (const detail of details) {
    const known = byId.get(detail.configDigest);
    const record = recordOf(detail);
    const image = known
      ? { ...known, records: [...known.records, record] }
      : newImage(detail, record, before.byId.get(detail.configDigest));
    byId.set(detail.configDigest, image);
  }
  const byName = new Map(
    [...byId.values()].flatMap((image) => image.records.map(({ name }) => [name, image] as const)),
  );
  return { byId, byName };
}

function recordOf(detail: ImageDetails): ImageRecord {
  const { name, target, updatedAtMs } = detail;
  return { name, target, updatedAtMs, reference: referenceOf(name) };
}

/** Records of other tools may have names that are no references: then they only keep the image. */
function referenceOf(name: string): Reference | undefined {
  if (name.startsWith(DANGLING)) return undefined;
  try {
    return parseReference(name);
  } catch {
    return undefined;
  }
}

function newImage(detail: ImageDetails, record: ImageRecord, before: Image | undefined): Image {
  const config = before?.config ?? parseImageConfig(detail.config);
  const { layers, chainId, manifest } = detail;
  const inner = (config.document.config ?? {}) as { Labels?: Record<string, string> | null };
  return {
    id: detail.configDigest,
    config,
    createdMs: Date.parse(String(config.document.created ?? "")) || 0,
    labels: inner.Labels ?? {},
    layers,
    chainId,
    manifest,
    records: [record],
  };
}

/** Names with a tag, as Docker shows them. */
export const repoTags = (image: Image): string[] =>
  image.records.flatMap(({ reference }) =>
    reference?.tag !== undefined && !reference.digest ? [familiarReference(reference)] : [],
  );

/** Names with a digest; for a tagged record with a digest too. */
export const repoDigests = (image: Image): string[] =>
  image.records.flatMap(({ reference }) =>
    reference?.digest === undefined ? [] : [`${familiarRepository(reference)}@${reference.digest}`],
  );

export const isDangling = (image: Image): boolean => image.records.every(({ reference }) => reference === undefined);

export const sizeOf = (image: Image): number => image.layers.reduce((sum, layer) => sum + layer.bytes, 0);

/** By id, by name, by id prefix: in this order. Undefined when nothing matches or a prefix is ambiguous. */
export function findImage(catalog: Catalog, text: string): Image | undefined {
  const hex = text.replace(/^sha256:/, "");
  if (/^[0-9a-f]{64}$/.test(hex)) return catalog.byId.get(`sha256:${hex}`) ?? byTarget(catalog, `sha256:${hex}`);
  const named = text.startsWith("sha256:") ? undefined : findNamed(catalog, parseReference(text));
  if (named) return named;
  if (!/^[0-9a-f]+$/.test(hex)) return undefined;
  const matches = [...catalog.byId.values()].filter(({ id }) => id.startsWith(`sha256:${hex}`));
  return matches.length === 1 ? matches[0] : undefined;
}

function byTarget(catalog: Catalog, digest: string): Image | undefined {
  return [...catalog.byId.values()].find(
    (image) => image.manifest.digest === digest || image.records.some((record) => record.target.digest === digest),
  );
}

function findNamed(catalog: Catalog, reference: Reference): Image | undefined {
  const wanted = withDefaultTag(reference);
  for (const image of catalog.byId.values()) {
    for (const record of image.records) {
      const known = record.reference;
      if (known?.domain !== wanted.domain || known.path !== wanted.path) continue;
      const digestFits = wanted.digest === known.digest || wanted.digest === record.target.digest;
      if (wanted.digest !== undefined ? digestFits : wanted.tag === known.tag && known.digest === undefined)
        return image;
    }
  }
  return undefined;
}

/** The error for an image that is not there, in the words after which clients pull. */
export function noSuchImage(text: string): HullError {
  const shown = /^(sha256:)?[0-9a-f]{12,64}$/.test(text)
    ? text
    : familiarReference(withDefaultTag(parseReference(text)));
  return new HullError("not-found", `No such image: ${shown}`);
}

/** "": any. */
export const fitsPlatform = (image: Image, platform: string): boolean =>
  platform === "" || platformFit(parsePlatform(platform), image.config.platform) > 0;

/** Throws not-found in Docker's words when the image serves another platform only. */
export function requirePlatform(image: Image, reference: string, platform: string): void {
  if (fitsPlatform(image, platform)) return;
  const wanted = parsePlatform(platform);
  throw new HullError(
    "not-found",
    `image with reference ${reference} was found but its platform (${formatPlatform(image.config.platform)}) does not match the specified platform (${formatPlatform(wanted)})`,
  );
}
