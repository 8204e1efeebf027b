/** What a layer's snapshot says of the layer, beyond its name and usage. */
import type { Digest } from "../../oci/digest.ts";
import type { SnapshotInfo } from "../snapshots/snapshotter.ts";

const DIFF_ID = "containerd.io/uncompressed";
const TAR_BYTES = "hull.layer.tar-bytes";
const FILE_BYTES = "hull.layer.file-bytes";

export interface LayerFacts {
  readonly diffId: Digest;
  /** Of the plain tar. */
  readonly plainBytes: number;
  readonly fileBytes?: number | undefined;
}

export const layerLabels = ({ diffId, plainBytes, fileBytes }: LayerFacts): Record<string, string> => ({
  [DIFF_ID]: diffId,
  [TAR_BYTES]: String(plainBytes),
  ...(fileBytes !== undefined && { [FILE_BYTES]: String(fileBytes) }),
});

/** "": it was committed by who did not say. */
export const diffIdOf = ({ labels }: Pick<SnapshotInfo, "labels">): string => labels[DIFF_ID] ?? "";

/** 0: not known. */
export const tarBytesOf = ({ labels }: Pick<SnapshotInfo, "labels">): number => Number(labels[TAR_BYTES] ?? 0);

/** The layer's size as Docker counts it, by the bytes of its files; what it takes on the disk where they were not counted. */
export const sizeOf = ({ labels, usage }: Pick<SnapshotInfo, "labels" | "usage">): number | undefined =>
  FILE_BYTES in labels ? Number(labels[FILE_BYTES]) : usage?.bytes;
