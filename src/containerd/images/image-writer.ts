/**
 * Puts images together in the content store: documents, and the labels by which gc follows them. Callers hold the collector
 * off until a name stands.
 */
import { randomBytes } from "node:crypto";
import { chainIds, type Digest, digestOf } from "../../oci/digest.ts";
import { type Descriptor, mediaTypes } from "../../oci/image.ts";
import { codeOf } from "../../platform/errors.ts";
import { TRANSIENT_REF } from "../content/ingest.ts";
import type { LocalContent } from "../content/local-content.ts";

/** Labels of a manifest or index that lead gc to what it lists. */
export function childLabels(children: readonly Descriptor[], config?: Descriptor): Record<string, string> {
  const labels: Record<string, string> = {};
  if (config) labels["containerd.io/gc.ref.content.config"] = config.digest;
  for (const [i, child] of children.entries()) {
    labels[`containerd.io/gc.ref.content.${config ? "l" : "m"}.${i}`] = child.digest;
  }
  return labels;
}

/** Of a layer's blob that somebody else's manifest names: a push sends it as it is, plain too. */
export const GIVEN_LABEL = "hull.layer.given";

/** Labels of a config: its unpacked stack stays with it. */
export function stackLabels(snapshotter: string, diffIds: readonly Digest[]): Record<string, string> {
  const top = chainIds(diffIds).at(-1);
  return top === undefined ? {} : { [`containerd.io/gc.ref.snapshot.${snapshotter}`]: top };
}

export interface Document {
  readonly mediaType: string;
  readonly bytes: Uint8Array;
  readonly labels: Readonly<Record<string, string>>;
}

/** Stores a document; one that is there keeps its labels and gets these too. */
export async function writeDocument(
  content: LocalContent,
  namespace: string,
  { mediaType, bytes, labels }: Document,
): Promise<Descriptor> {
  const digest = digestOf(bytes);
  const found = content.find(namespace, digest);
  if (found) {
    content.label(namespace, digest, { ...found.labels, ...labels });
    return { mediaType, digest, size: bytes.length };
  }
  try {
    await using writer = await content.openWriter(namespace, {
      ref: `${TRANSIENT_REF}${randomBytes(8).toString("hex")}`,
      expected: digest,
    });
    await writer.write(bytes);
    await writer.commit({ size: bytes.length, expected: digest, labels });
  } catch (error) {
    // Somebody else wrote the same meanwhile.
    const theirs = codeOf(error) === "already-exists" ? content.find(namespace, digest) : undefined;
    if (theirs === undefined) throw error;
    content.label(namespace, digest, { ...theirs.labels, ...labels });
  }
  return { mediaType, digest, size: bytes.length };
}

/** Media type of a layer file by its compression, in the family of `dockerLayer` or OCI. */
export function layerMediaType(head: Uint8Array, family: "docker" | "oci"): string {
  const gzip = head[0] === 0x1f && head[1] === 0x8b;
  const zstd = head[0] === 0x28 && head[1] === 0xb5 && head[2] === 0x2f && head[3] === 0xfd;
  if (zstd) return mediaTypes.ociLayerZstd;
  if (family === "docker") return gzip ? mediaTypes.dockerLayerGzip : mediaTypes.dockerLayer;
  return gzip ? mediaTypes.ociLayerGzip : mediaTypes.ociLayer;
}

export interface ManifestParts {
  readonly family: "docker" | "oci";
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}

export function encodeManifest({ family, config, layers }: ManifestParts): Document {
  const mediaType = family === "docker" ? mediaTypes.dockerManifest : mediaTypes.ociManifest;
  const json = JSON.stringify({ schemaVersion: 2, mediaType, config, layers });
  return { mediaType, bytes: Buffer.from(json), labels: childLabels(layers, config) };
}
