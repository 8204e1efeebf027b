/** The layers that a committed snapshot consists of: what builds said of theirs, what images say of the others. */
import { codeOf } from "../../platform/errors.ts";
import type { SnapshotInfo, Snapshotter } from "../snapshots/snapshotter.ts";
import type { ImageTools } from "./image-tools.ts";
import { diffIdOf, sizeOf, tarBytesOf } from "./layer-labels.ts";

export interface StackedLayer {
  /** "": the snapshot is neither an image's nor a build's. */
  readonly diffId: string;
  /** 0n: not known. */
  readonly tarBytes: bigint;
  readonly unpackedBytes: bigint;
}

export interface StackPlace {
  readonly namespace: string;
  readonly chainId: string;
  readonly snapshotter: Snapshotter;
}

/** Base first. Throws not-found. */
export async function listStack(
  tools: ImageTools,
  { namespace, chainId, snapshotter }: StackPlace,
): Promise<StackedLayer[]> {
  const snapshots: SnapshotInfo[] = [];
  for (let name = chainId; name !== ""; ) {
    const found = snapshotter.stat(namespace, name);
    snapshots.unshift(found);
    name = found.parent;
  }
  const ofImages = snapshots.every((one) => diffIdOf(one) !== "") ? new Map() : await diffIdsOfImages(tools, namespace);
  return snapshots.map((one) => ({
    diffId: diffIdOf(one) || (ofImages.get(one.name) ?? ""),
    tarBytes: BigInt(tarBytesOf(one)),
    unpackedBytes: BigInt(sizeOf(one) ?? 0),
  }));
}

/** By chain. */
async function diffIdsOfImages(
  { reader, stores }: ImageTools,
  namespace: string,
): Promise<ReadonlyMap<string, string>> {
  const diffIds = new Map<string, string>();
  for (const { target } of stores.images.list(namespace)) {
    try {
      const { chain, config } = await reader.resolve(namespace, target, undefined);
      for (const [i, name] of chain.entries()) diffIds.set(name, config.diffIds[i]!);
    } catch (error) {
      if (codeOf(error) !== "not-found") throw error; // One that is not whole.
    }
  }
  return diffIds;
}
