/** containerd.services.diff.v1: layer blobs onto a snapshot's mounts and back. Nothing is mounted for it: keel works on the upper directory. */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import type { ServiceImpl } from "@connectrpc/connect";
import { operation } from "../../keel/plan.ts";
import { digestOfHash } from "../../oci/digest.ts";
import { mediaTypes } from "../../oci/image.ts";
import { HullError } from "../../platform/errors.ts";
import type { Diff } from "../gen/containerd/services/diff/v1/diff_pb.ts";
import type { Mount } from "../gen/containerd/types/mount_pb.ts";
import type { Kernel } from "../kernel.ts";
import type { Stores } from "../stores.ts";
import { callOf, namespaceOf } from "./call.ts";
import { fromWireDescriptor } from "./convert.ts";

export interface DiffServiceOptions {
  readonly stores: Stores;
  readonly kernel: Kernel;
  readonly dataRoot: string;
  /** Directory for blobs being made. */
  readonly scratch: string;
}

export function diffService({ stores, kernel, dataRoot, scratch }: DiffServiceOptions): ServiceImpl<typeof Diff> {
  return {
    apply: async ({ diff, mounts }, context) => {
      const layer = fromWireDescriptor(diff, "diff");
      const blob = await stores.content.file(namespaceOf(context), layer.digest);
      const { directory, format } = upperOf(mounts, dataRoot);
      const plan = [operation("applyLayer", { format, blob, directory }, { cause: `layer ${layer.digest}` })];
      const { outputs } = await kernel.run(plan, { parent: callOf(context).span.context, signal: context.signal });
      const bytes = outputs.get(0)!;
      const digest = digestOfHash(bytes.subarray(32, 64));
      return { applied: { mediaType: mediaTypes.ociLayer, digest, size: bytes.readBigUInt64LE(64) } };
    },
    diff: async ({ right, mediaType, labels }, context) => {
      const { directory, format } = upperOf(right, dataRoot);
      if (format !== 0) throw new HullError("unimplemented", "this snapshotter cannot tell changes yet");
      const compression = compressionOf(mediaType);
      const blob = join(scratch, `diff-${randomBytes(8).toString("hex")}`);
      const plan = [operation("diffLayer", { compression, upper: directory, blob }, { cause: "diff" })];
      const bytes = (await kernel.run(plan, { parent: callOf(context).span.context })).outputs.get(0)!;
      const digest = digestOfHash(bytes.subarray(0, 32));
      const uncompressed = digestOfHash(bytes.subarray(32, 64));
      const stored = { digest, labels: { ...labels, "containerd.io/uncompressed": uncompressed } };
      const { size } = await stores.content.adopt(namespaceOf(context), blob, stored);
      return { diff: { mediaType: mediaType || mediaTypes.ociLayer, digest, size: BigInt(size) } };
    },
  };
}

function compressionOf(mediaType: string): number {
  if (mediaType === "" || mediaType === mediaTypes.ociLayer || mediaType === mediaTypes.dockerLayer) return 0;
  if (mediaType.endsWith("gzip")) return 1;
  if (mediaType.endsWith("zstd")) return 2;
  throw new HullError("unimplemented", `unsupported diff media type: ${mediaType}`);
}

/** The directory that writes through these mounts end in; format 0: an overlay's upper directory, 1: a plain tree. */
function upperOf(mounts: readonly Mount[], dataRoot: string): { directory: string; format: 0 | 1 } {
  const mount = mounts.at(-1);
  const upper = mount?.options.find((option) => option.startsWith("upperdir="))?.slice("upperdir=".length);
  const directory = upper ?? (mount?.options.includes("rbind") || mount?.type === "bind" ? mount.source : undefined);
  if (
    directory === undefined ||
    !directory.startsWith(`${dataRoot}/`) ||
    directory.includes("/../") ||
    mounts.length !== 1
  ) {
    throw new HullError("invalid-argument", "mounts must be those of one active snapshot of this daemon");
  }
  return { directory, format: directory.startsWith(join(dataRoot, "overlay2/")) ? 0 : 1 };
}
