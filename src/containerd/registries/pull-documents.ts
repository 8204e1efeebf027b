/** The documents of an image at a registry: what a name stands for, the platform's manifest, the config. Each is verified and small. */
import { type Digest, digestOf } from "../../oci/digest.ts";
import {
  chooseManifest,
  type Descriptor,
  type ImageConfig,
  isIndex,
  type Manifest,
  parseImageConfig,
  parseManifestOrIndex,
} from "../../oci/image.ts";
import { formatPlatform, type Platform, platformFit } from "../../oci/platform.ts";
import { familiarReference, type Reference } from "../../oci/reference.ts";
import { HullError } from "../../platform/errors.ts";
import type { RepositoryTarget, TransferProgress } from "../../registry/transfer/protocol.ts";
import type { RegistryHost } from "./registry-host.ts";

export interface RemoteDocument {
  readonly descriptor: Descriptor;
  readonly bytes: Buffer;
}

export interface RemoteImage {
  /** What the name stands for: an index or the manifest. */
  readonly top: RemoteDocument;
  readonly manifest: RemoteDocument & { readonly parsed: Manifest };
  readonly config: RemoteDocument & { readonly parsed: ImageConfig };
}

export interface DocumentsRequest {
  readonly namespace: string;
  readonly reference: Reference;
  readonly target: RepositoryTarget;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: TransferProgress) => void;
}

/** What the name stands for. Not counted as a pull where the bytes are here. */
export async function resolveTop(host: RegistryHost, request: DocumentsRequest): Promise<RemoteDocument> {
  const { reference, target, signal, namespace } = request;
  const name = reference.digest ?? reference.tag ?? "latest";
  // A refusal has its words only in the answer to GET.
  const head = await host.transfers.ask("head", { target, name }, { signal }).catch(() => null);
  signal.throwIfAborted();
  const here = head && (await localDocument(host, namespace, head.digest));
  if (head && here)
    return {
      descriptor: { mediaType: mediaTypeOf(here, head.mediaType), digest: head.digest, size: here.length },
      bytes: here,
    };
  return fetchManifest(host, request, name);
}

async function fetchManifest(
  host: RegistryHost,
  { target, signal, onProgress }: DocumentsRequest,
  name: string,
): Promise<RemoteDocument> {
  const { mediaType, digest, base64 } = await host.transfers.ask("manifest", { target, name }, { signal, onProgress });
  const bytes = Buffer.from(base64, "base64");
  return { descriptor: { mediaType: mediaTypeOf(bytes, mediaType), digest, size: bytes.length }, bytes };
}

/** The registry's word is checked against the document's own. */
const mediaTypeOf = (bytes: Buffer, said: string): string =>
  parseManifestOrIndex(bytes, said.includes("json") && said !== "application/json" ? said : undefined).mediaType;

async function localDocument({ tools }: RegistryHost, namespace: string, digest: Digest): Promise<Buffer | undefined> {
  return tools.stores.content.find(namespace, digest) && tools.reader.document(namespace, digest);
}

/** `platform`: undefined takes what there is when the name stands for one manifest. Throws not-found in dockerd's words. */
export async function chooseImage(
  host: RegistryHost,
  request: DocumentsRequest,
  {
    top,
    wanted,
    isExplicit,
  }: { readonly top: RemoteDocument; readonly wanted: Platform; readonly isExplicit: boolean },
): Promise<RemoteImage> {
  const document = parseManifestOrIndex(top.bytes, top.descriptor.mediaType);
  const manifest = isIndex(document)
    ? await chosen(host, request, chooseOf(document, wanted))
    : { ...top, parsed: document };
  const config = await configOf(host, request, manifest.parsed);
  const { diffIds, platform } = config.parsed;
  if (diffIds.length !== manifest.parsed.layers.length) {
    throw new HullError(
      "invalid-argument",
      `invalid image: ${manifest.parsed.layers.length} layers in its manifest, ${diffIds.length} in its config`,
    );
  }
  if (isExplicit && platformFit(wanted, platform) === 0) {
    const words = `does not match the specified platform: wanted ${formatPlatform(wanted)}, actual: ${formatPlatform(platform)}`;
    throw new HullError(
      "not-found",
      `image with reference ${familiarReference(request.reference)} was found but ${words}`,
    );
  }
  if (platform.os !== "linux")
    throw new HullError(
      "invalid-argument",
      `image operating system ${JSON.stringify(platform.os)} cannot be used on this platform`,
    );
  return { top, manifest, config };
}

function chooseOf(index: Parameters<typeof chooseManifest>[0], wanted: Platform): Descriptor {
  const found = chooseManifest(index, wanted);
  if (found) return found;
  throw new HullError(
    "not-found",
    `no matching manifest for ${formatPlatform(wanted)} in the manifest list entries: no match for platform in manifest: not found`,
  );
}

async function chosen(
  host: RegistryHost,
  request: DocumentsRequest,
  descriptor: Descriptor,
): Promise<RemoteImage["manifest"]> {
  const here = await localDocument(host, request.namespace, descriptor.digest);
  const { bytes } = here ? { bytes: here } : await fetchManifest(host, request, descriptor.digest);
  const parsed = parseManifestOrIndex(bytes, descriptor.mediaType);
  if (isIndex(parsed)) throw new HullError("invalid-argument", `${descriptor.digest} is an index inside an index`);
  return { descriptor, bytes, parsed };
}

async function configOf(
  host: RegistryHost,
  { namespace, target, signal }: DocumentsRequest,
  { config }: Manifest,
): Promise<RemoteImage["config"]> {
  const here = await localDocument(host, namespace, config.digest);
  const bytes =
    here ??
    Buffer.from((await host.transfers.ask("document", { target, digest: config.digest }, { signal })).base64, "base64");
  if (digestOf(bytes) !== config.digest)
    throw new HullError("internal", `config ${config.digest} has digest ${digestOf(bytes)}`);
  return { descriptor: config, bytes, parsed: parseImageConfig(bytes) };
}
