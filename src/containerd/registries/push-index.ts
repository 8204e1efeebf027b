/**
 * The index that a name stands for, on its way to a registry with everything in it that is here: images of other platforms, and attestations. Manifests that have
 * become others, because their layers were compressed for the push, take the places of the old ones, also in the statements about them.
 */
import { ABOUT, rebasedStatement, withEntries } from "../../oci/attestation.ts";
import { type Digest, digestOf } from "../../oci/digest.ts";
import {
  type Descriptor,
  isAttestation,
  isIndex,
  type Manifest,
  mediaTypes,
  parseManifestOrIndex,
} from "../../oci/image.ts";
import type { Reference } from "../../oci/reference.ts";
import { HullError } from "../../platform/errors.ts";
import type { ResolvedImage } from "../images/image-details.ts";
import { childLabels, writeDocument } from "../images/image-writer.ts";
import type { RegistryHost } from "./registry-host.ts";
import { withSource } from "./source-label.ts";

export interface PushedDocument {
  readonly bytes: Buffer;
  readonly descriptor: Descriptor;
}

/** What can be sent to the repository. */
export interface Sender {
  /** An image's layers and config; its manifest as it goes out. */
  readonly send: (image: ResolvedImage) => Promise<PushedDocument>;
  readonly blob: (image: ResolvedImage, blob: Descriptor) => Promise<void>;
  readonly put: (document: {
    readonly name: string;
    readonly mediaType: string;
    readonly base64: string;
  }) => Promise<void>;
  readonly isThere: (digest: Digest) => Promise<boolean>;
}

export interface IndexPush {
  readonly namespace: string;
  /** What the name stands for. */
  readonly target: Descriptor;
  /** One of its images, which was sent already. */
  readonly image: ResolvedImage;
  readonly pushed: PushedDocument;
  readonly reference: Pick<Reference, "domain" | "path">;
}

/** A statement is held as a whole while it is written anew. */
const MOST_STATEMENT_BYTES = 64 * 1024 * 1024;

/** All but the index itself. Undefined when there is none, or when something of it is neither here nor at the registry. */
export async function sendIndex(
  host: RegistryHost,
  push: IndexPush,
  sender: Sender,
): Promise<PushedDocument | undefined> {
  const { namespace, target, image, pushed, reference } = push;
  if (target.digest === image.manifestDescriptor.digest) return undefined;
  const { reader, stores } = host.tools;
  const bytes = await reader.document(namespace, target.digest);
  const index = parseManifestOrIndex(bytes, target.mediaType);
  if (!isIndex(index)) return undefined;
  const sent = new Map<Digest, PushedDocument | undefined>([[image.manifestDescriptor.digest, pushed]]);
  for (const entry of index.manifests.filter((one) => !isAttestation(one) && !sent.has(one.digest))) {
    const other = await wholeImage(host, namespace, entry);
    if (!other && !(await sender.isThere(entry.digest))) return undefined;
    sent.set(entry.digest, other && (await sender.send(other)));
  }
  for (const entry of index.manifests.filter(isAttestation)) {
    if (!stores.content.find(namespace, entry.digest)) {
      if (!(await sender.isThere(entry.digest))) return undefined;
      continue;
    }
    const about = entry.annotations?.[ABOUT] as Digest | undefined;
    const after = (about && sent.get(about)?.descriptor.digest) ?? about;
    sent.set(entry.digest, await attestation(host, { push, entry, about, after }, sender));
  }
  for (const document of sent.values()) if (document) await putByDigest(sender, document);
  const made = withEntries(bytes, (digest, entry) => {
    const after = sent.get(digest)?.descriptor;
    const annotations = (entry.annotations ?? {}) as Readonly<Record<string, string>>;
    const about = annotations[ABOUT] && sent.get(annotations[ABOUT] as Digest)?.descriptor.digest;
    const own = after ? { digest: after.digest, size: after.size, mediaType: after.mediaType } : {};
    return { ...entry, ...own, ...(about && { annotations: { ...annotations, [ABOUT]: about } }) };
  });
  if (digestOf(made) === target.digest || isSame(sent)) return { bytes, descriptor: { ...target, size: bytes.length } };
  const { manifests } = parseManifestOrIndex(made, index.mediaType) as typeof index;
  const labels = withSource(childLabels(manifests), reference);
  const descriptor = await writeDocument(stores.content, namespace, {
    mediaType: index.mediaType,
    bytes: made,
    labels,
  });
  return { bytes: made, descriptor };
}

const isSame = (sent: ReadonlyMap<Digest, PushedDocument | undefined>): boolean =>
  [...sent].every(([digest, document]) => !document || document.descriptor.digest === digest);

const putByDigest = (sender: Sender, { bytes, descriptor }: PushedDocument): Promise<void> =>
  sender.put({ name: descriptor.digest, mediaType: descriptor.mediaType, base64: bytes.toString("base64") });

/** Undefined when something of it is not here: only other platforms of it were pulled. */
async function wholeImage(
  { tools: { reader, stores } }: RegistryHost,
  namespace: string,
  { mediaType, digest, size }: Descriptor,
): Promise<ResolvedImage | undefined> {
  const isHere = (one: { readonly digest: Digest }): boolean =>
    stores.content.find(namespace, one.digest) !== undefined;
  if (!isHere({ digest })) return undefined;
  const manifest = parseManifestOrIndex(await reader.document(namespace, digest), mediaType);
  if (isIndex(manifest)) throw new HullError("invalid-argument", `${digest} is an index inside an index`);
  if (![manifest.config, ...manifest.layers].every(isHere)) return undefined;
  return reader.resolve(namespace, { mediaType, digest, size }, undefined);
}

interface Attested {
  readonly push: IndexPush;
  readonly entry: Descriptor;
  /** The image's manifest as it was, and as it goes out. */
  readonly about: Digest | undefined;
  readonly after: Digest | undefined;
}

async function attestation(host: RegistryHost, attested: Attested, sender: Sender): Promise<PushedDocument> {
  const { push, entry, about, after } = attested;
  const { namespace, image } = push;
  const bytes = await host.tools.reader.document(namespace, entry.digest);
  const manifest = parseManifestOrIndex(bytes, entry.mediaType);
  if (isIndex(manifest)) throw new HullError("invalid-argument", `${entry.digest} is an index, not an attestation`);
  const made =
    about === undefined || after === undefined || about === after
      ? { manifest, document: { bytes, descriptor: entry } }
      : await rebased(host, { push, manifest, before: about, after });
  for (const blob of [made.manifest.config, ...made.manifest.layers]) await sender.blob(image, blob);
  return made.document;
}

interface Rebase {
  readonly push: IndexPush;
  readonly manifest: Manifest;
  readonly before: Digest;
  readonly after: Digest;
}

async function rebased(
  { tools: { stores } }: RegistryHost,
  { push: { namespace, reference }, manifest, before, after }: Rebase,
): Promise<{ readonly manifest: Manifest; readonly document: PushedDocument }> {
  const { content } = stores;
  const layers: Descriptor[] = [];
  for (const layer of manifest.layers) {
    if (layer.mediaType !== mediaTypes.inToto) {
      layers.push(layer);
      continue;
    }
    if (layer.size > MOST_STATEMENT_BYTES)
      throw new HullError(
        "invalid-argument",
        `attestation ${layer.digest} has ${layer.size} bytes: too large to be pushed`,
      );
    await using file = await content.open(namespace, layer.digest);
    const bytes = rebasedStatement(await file.readFile(), before, after);
    layers.push({
      ...layer,
      ...(await writeDocument(content, namespace, { mediaType: layer.mediaType, bytes, labels: {} })),
    });
  }
  const rootfs = { type: "layers", diff_ids: layers.map(({ digest }) => digest) };
  const config = await writeDocument(content, namespace, {
    mediaType: manifest.config.mediaType,
    bytes: Buffer.from(JSON.stringify({ architecture: "unknown", os: "unknown", config: {}, rootfs })),
    labels: {},
  });
  const { mediaType } = manifest;
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config, layers }));
  const labels = withSource(childLabels(layers, config), reference);
  const descriptor = await writeDocument(content, namespace, { mediaType, bytes, labels });
  return { manifest: { ...manifest, config, layers }, document: { bytes, descriptor } };
}
