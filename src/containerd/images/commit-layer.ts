/** An active snapshot becomes a layer: hashed, committed under its chain, and known as a blob whose bytes are made when they are asked for. */
import { setTimeout as delay } from "node:timers/promises";
import { operation } from "../../keel/plan.ts";
import { chainIds, type Digest, digestOfHash, parseDigest } from "../../oci/digest.ts";
import { codeOf, HullError } from "../../platform/errors.ts";
import type { SpanContext } from "../../trace/context.ts";
import { remadeLabels } from "../content/remade-blobs.ts";
import type { Kernel } from "../kernel.ts";
import type { Snapshotter } from "../snapshots/snapshotter.ts";
import type { Stores } from "../stores.ts";
import { layerLabels } from "./layer-labels.ts";

export interface CommitLayerRequest {
  readonly namespace: string;
  readonly key: string;
  readonly snapshotter: Snapshotter;
  /** Of the committed snapshot. */
  readonly labels: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
  readonly span?: SpanContext | undefined;
}

export interface CommittedLayer {
  readonly diffId: Digest;
  /** "": nothing below and nothing in it. */
  readonly chainId: string;
  readonly tarBytes: number;
  readonly unpackedBytes: number;
}

/** A tar without entries: two blocks of zeros. */
const EMPTY_TAR_BYTES = 1024;

/** Of a layer without anything in it no snapshot is made: its chain is the parent's. The same layer on the same parent is one snapshot. */
export async function commitLayer(
  { stores, kernel }: { readonly stores: Stores; readonly kernel: Kernel },
  request: CommitLayerRequest,
): Promise<CommittedLayer> {
  const { namespace, key, snapshotter } = request;
  if (!snapshotter.independentLayers)
    throw new HullError("unimplemented", `the ${snapshotter.name} storage driver cannot tell a snapshot's changes yet`);
  const { parent } = snapshotter.stat(namespace, key);
  const { layer: upper } = snapshotter.paths(namespace, key);
  const plan = [operation("diffLayer", { upper }, { cause: "commit layer" })];
  const bytes = (await kernel.run(plan, { parent: request.span, signal: request.signal })).outputs.get(0)!;
  const diffId = digestOfHash(bytes.subarray(32, 64));
  const tarBytes = Number(bytes.readBigUInt64LE(64));
  const unpackedBytes = Number(bytes.readBigUInt64LE(80));
  if (tarBytes <= EMPTY_TAR_BYTES) {
    await snapshotter.remove(namespace, key);
    return { diffId, chainId: parent, tarBytes, unpackedBytes: 0 };
  }
  const chainId = parent === "" ? diffId : chainIds([parseDigest(parent), diffId]).at(-1)!;
  const labels = {
    ...request.labels,
    "containerd.io/gc.ref.content.layer": diffId,
    ...layerLabels({ diffId, plainBytes: tarBytes, fileBytes: unpackedBytes }),
  };
  await commitOnce(request, chainId, labels);
  const blobLabels = { "containerd.io/uncompressed": diffId, ...remadeLabels(snapshotter.name, chainId) };
  stores.content.know(namespace, { digest: diffId, size: tarBytes, labels: blobLabels });
  return { diffId, chainId, tarBytes, unpackedBytes };
}

/** Whoever made it: from then on it has these labels, so that it is not collected before its new user holds it. */
async function commitOnce(
  { namespace, key, snapshotter, span, signal }: CommitLayerRequest,
  name: Digest,
  labels: Readonly<Record<string, string>>,
): Promise<void> {
  for (;;) {
    signal?.throwIfAborted();
    try {
      await snapshotter.commit(namespace, { name, key, labels }, { parent: span });
      return;
    } catch (error) {
      if (codeOf(error) !== "already-exists") throw error;
    }
    if (labelled(snapshotter, { namespace, name, labels })) break;
    await delay(CLAIMED_MS); // Somebody else is just making it, or it was just removed.
  }
  await snapshotter.remove(namespace, key);
}

const CLAIMED_MS = 5;

interface Labelling {
  readonly namespace: string;
  readonly name: Digest;
  readonly labels: Readonly<Record<string, string>>;
}

/** False: there is none. */
function labelled(snapshotter: Snapshotter, { namespace, name, labels }: Labelling): boolean {
  try {
    const before = snapshotter.stat(namespace, name);
    snapshotter.label(namespace, name, { ...before.labels, ...labels });
    return true;
  } catch (error) {
    if (codeOf(error) !== "not-found") throw error;
    return false;
  }
}
