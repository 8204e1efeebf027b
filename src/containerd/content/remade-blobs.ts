/**
 * Layers whose bytes are not kept: a layer as a plain tar is a pure function of its snapshot's directory, which never changes, so it is made again when
 * somebody reads it. The blob's record, with size and digest, is there like any other, and holds the snapshot.
 */
import { operation } from "../../keel/plan.ts";
import { type Digest, digestOfHash } from "../../oci/digest.ts";
import { HullError } from "../../platform/errors.ts";
import type { Kernel } from "../kernel.ts";
import type { Snapshotters } from "../snapshots/snapshotters.ts";
import type { BlobInfo } from "./content-store.ts";

const SNAPSHOT_REF = "containerd.io/gc.ref.snapshot.";

/** Of a blob that is made from a snapshot; also how collection gets from the one to the other. */
export const remadeLabels = (snapshotter: string, chainId: Digest): Record<string, string> => ({
  [`${SNAPSHOT_REF}${snapshotter}`]: chainId,
});

/** Writes the bytes of a blob to a new file. Throws not-found when it is not one of these. */
export type Remake = (namespace: string, blob: BlobInfo, path: string) => Promise<void>;

export function remaker(kernel: Kernel, snapshotters: Pick<Snapshotters, "get">): Remake {
  return async (namespace, { digest, labels }, path) => {
    const label = Object.entries(labels).find(([name]) => name.startsWith(SNAPSHOT_REF));
    if (!label) throw new HullError("not-found", `content ${digest}: its file is missing`);
    const [name, chainId] = [label[0].slice(SNAPSHOT_REF.length), label[1]];
    const { layer } = snapshotters.get(name).paths(namespace, chainId);
    const plan = [operation("diffLayer", { upper: layer, blob: path }, { cause: `content ${digest}` })];
    const { outputs } = await kernel.run(plan);
    const made = digestOfHash(outputs.get(0)!.subarray(0, 32));
    if (made === digest) return;
    await kernel.run([operation("unlink", { path }, { cause: `content ${digest}` })]);
    throw new HullError("internal", `content ${digest}: snapshot ${chainId} gives ${made} now: its files were changed`);
  };
}
