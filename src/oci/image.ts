/**
 * Manifests, indexes and configs of images (image-spec 1.1 and Docker's schema 2), parsed once from untrusted JSON into types
 * that can't be wrong. Everything throws `invalid-argument` with the place in the document.
 */
import { HullError } from "../platform/errors.ts";
import { type Digest, parseDigest } from "./digest.ts";
import { hostPlatform, normalizePlatform, type Platform, platformFit } from "./platform.ts";

/** Larger manifests, indexes and configs are refused (the limit registries keep is 4 MiB). */
export const MAX_DOCUMENT_BYTES = 8 * 1024 * 1024;

export const mediaTypes = {
  ociIndex: "application/vnd.oci.image.index.v1+json",
  ociManifest: "application/vnd.oci.image.manifest.v1+json",
  ociConfig: "application/vnd.oci.image.config.v1+json",
  ociLayer: "application/vnd.oci.image.layer.v1.tar",
  ociLayerGzip: "application/vnd.oci.image.layer.v1.tar+gzip",
  ociLayerZstd: "application/vnd.oci.image.layer.v1.tar+zstd",
  dockerIndex: "application/vnd.docker.distribution.manifest.list.v2+json",
  dockerManifest: "application/vnd.docker.distribution.manifest.v2+json",
  dockerConfig: "application/vnd.docker.container.image.v1+json",
  dockerLayer: "application/vnd.docker.image.rootfs.diff.tar",
  dockerLayerGzip: "application/vnd.docker.image.rootfs.diff.tar.gzip",
  inToto: "application/vnd.in-toto+json",
} as const;

export const isIndexType = (mediaType: string): boolean =>
  mediaType === mediaTypes.ociIndex || mediaType === mediaTypes.dockerIndex;

export const isManifestType = (mediaType: string): boolean =>
  mediaType === mediaTypes.ociManifest || mediaType === mediaTypes.dockerManifest;

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly platform?: Platform;
}

export interface Manifest {
  readonly mediaType: string;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly annotations: Readonly<Record<string, string>>;
}

export interface ImageIndex {
  readonly mediaType: string;
  readonly manifests: readonly Descriptor[];
}

/** What the engine itself needs of a config; `document` is all of it, as it was. */
export interface ImageConfig {
  readonly platform: Platform;
  /** Uncompressed layers, base first. */
  readonly diffIds: readonly Digest[];
  readonly document: Readonly<Record<string, unknown>>;
}

type Json = Readonly<Record<string, unknown>>;

/** Manifest or index, told apart by content; a document that is both is refused (CVE-2021-41190). */
export function parseManifestOrIndex(bytes: Uint8Array, mediaType?: string): Manifest | ImageIndex {
  const json = parseObject(bytes, "manifest");
  const isIndex = "manifests" in json;
  if (isIndex && ("layers" in json || "config" in json)) throw wrong("manifest", "is a manifest and an index at once");
  const stated = typeof json.mediaType === "string" ? json.mediaType : undefined;
  if (stated !== undefined && mediaType !== undefined && stated !== mediaType) {
    throw wrong("manifest", `says it is ${stated} but is stored as ${mediaType}`);
  }
  const actual = stated ?? mediaType ?? (isIndex ? mediaTypes.ociIndex : mediaTypes.ociManifest);
  if (isIndex !== isIndexType(actual)) throw wrong("manifest", `does not look like ${actual}`);
  return isIndex ? parseIndex(json, actual) : parseManifest(json, actual);
}

export const isIndex = (document: Manifest | ImageIndex): document is ImageIndex => "manifests" in document;

function parseManifest(json: Json, mediaType: string): Manifest {
  if (json.schemaVersion !== 2) throw wrong("manifest", "schemaVersion must be 2 (schema 1 is not supported)");
  if (!Array.isArray(json.layers)) throw wrong("manifest", "/layers must be an array");
  return {
    mediaType,
    config: parseDescriptor(json.config, "/config"),
    layers: json.layers.map((layer, i) => parseDescriptor(layer, `/layers/${i}`)),
    annotations: parseStrings(json.annotations, "/annotations"),
  };
}

function parseIndex(json: Json, mediaType: string): ImageIndex {
  if (!Array.isArray(json.manifests)) throw wrong("index", "/manifests must be an array");
  return { mediaType, manifests: json.manifests.map((entry, i) => parseDescriptor(entry, `/manifests/${i}`)) };
}

/** A descriptor at `where` (a JSON pointer, for messages). */
export function parseDescriptor(value: unknown, where: string): Descriptor {
  const json = asObject(value, where);
  if (typeof json.mediaType !== "string" || json.mediaType === "") throw wrong(where, "mediaType is missing");
  if (typeof json.digest !== "string") throw wrong(where, "digest is missing");
  if (typeof json.size !== "number" || !Number.isSafeInteger(json.size) || json.size < 0) {
    throw wrong(where, "size must be a whole number of bytes");
  }
  return {
    mediaType: json.mediaType,
    digest: parseDigest(json.digest),
    size: json.size,
    ...(json.annotations !== undefined && { annotations: parseStrings(json.annotations, `${where}/annotations`) }),
    ...(json.platform !== undefined && { platform: parsePlatformObject(json.platform, `${where}/platform`) }),
  };
}

function parsePlatformObject(value: unknown, where: string): Platform {
  const json = asObject(value, where);
  if (typeof json.os !== "string" || typeof json.architecture !== "string") {
    throw wrong(where, "os and architecture must be strings");
  }
  const variant = typeof json.variant === "string" ? { variant: json.variant } : {};
  return normalizePlatform({ os: json.os, architecture: json.architecture, ...variant });
}

/** An image config. os and architecture may be missing in old images: this machine's then. */
export function parseImageConfig(bytes: Uint8Array): ImageConfig {
  const document = parseObject(bytes, "image config");
  const host = hostPlatform();
  const platform = parsePlatformObject(
    {
      os: document.os || host.os,
      architecture: document.architecture || host.architecture,
      variant: document.variant,
    },
    "image config",
  );
  const rootfs = asObject(document.rootfs ?? {}, "/rootfs");
  const diffIds = rootfs.diff_ids ?? [];
  if (!Array.isArray(diffIds)) throw wrong("/rootfs/diff_ids", "must be an array");
  return { platform, document, diffIds: diffIds.map((id) => parseDigest(String(id))) };
}

/** An entry of an index that is no image, but says something of one of the others. */
export const isAttestation = ({ annotations }: Descriptor): boolean =>
  annotations?.["vnd.docker.reference.type"] !== undefined;

/** The entry of an index that serves `wanted` best; undefined when none does. Entries without a platform come last. */
export function chooseManifest(index: ImageIndex, wanted: Platform): Descriptor | undefined {
  const fitOf = (entry: Descriptor): number => (entry.platform ? platformFit(wanted, entry.platform) : 0.5);
  return index.manifests
    .filter((entry) => !isAttestation(entry) && fitOf(entry) > 0)
    .reduce<Descriptor | undefined>((best, entry) => (!best || fitOf(entry) > fitOf(best) ? entry : best), undefined);
}

/** A JSON object of at most MAX_DOCUMENT_BYTES. */
export function parseObject(bytes: Uint8Array, what: string): Json {
  if (bytes.length > MAX_DOCUMENT_BYTES) throw wrong(what, `is larger than ${MAX_DOCUMENT_BYTES} bytes`);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw new HullError("invalid-argument", `${what}: not valid JSON`, { cause: error });
  }
  return asObject(value, what);
}

function asObject(value: unknown, where: string): Json {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw wrong(where, "must be an object");
  return value as Json;
}

function parseStrings(value: unknown, where: string): Record<string, string> {
  if (value === undefined || value === null) return {};
  const json = asObject(value, where);
  if (!Object.values(json).every((text) => typeof text === "string")) throw wrong(where, "values must be strings");
  return json as Record<string, string>;
}

const wrong = (where: string, what: string): HullError => new HullError("invalid-argument", `${where}: ${what}`);
