/** Between the wire's messages and our values. */
import { parseDigest } from "../../oci/digest.ts";
import type { Descriptor } from "../../oci/image.ts";
import { HullError } from "../../platform/errors.ts";
import type { Descriptor as WireDescriptor } from "../gen/containerd/types/descriptor_pb.ts";
import type { Mount } from "../snapshots/snapshotter.ts";

export const toWireDescriptor = ({ mediaType, digest, size, annotations }: Descriptor) => ({
  mediaType,
  digest,
  size: BigInt(size),
  annotations: { ...annotations },
});

/** Throws `invalid-argument`. */
export function fromWireDescriptor(wire: WireDescriptor | undefined, what: string): Descriptor {
  if (wire === undefined) throw new HullError("invalid-argument", `${what} is missing`);
  const annotations = Object.keys(wire.annotations).length > 0 ? { annotations: wire.annotations } : {};
  return { mediaType: wire.mediaType, digest: parseDigest(wire.digest), size: Number(wire.size), ...annotations };
}

export const toWireMount = ({ type, source, options }: Mount) => ({ type, source, target: "", options: [...options] });

/**
 * The labels after an update with a field mask: "labels" replaces them, "labels.<key>" sets or (empty) removes one; no mask
 * replaces. Throws `invalid-argument` for other paths when `others` does not list them.
 */
export function maskedLabels(
  before: Readonly<Record<string, string>>,
  after: Readonly<Record<string, string>>,
  paths: readonly string[] | undefined,
): Record<string, string> {
  if (paths === undefined || paths.length === 0 || paths.includes("labels")) return { ...after };
  const labels: Record<string, string> = { ...before };
  for (const path of paths.filter((one) => one.startsWith("labels."))) {
    const key = path.slice("labels.".length);
    const value = after[key] ?? "";
    if (value === "") delete labels[key];
    else labels[key] = value;
  }
  return labels;
}

/** True when an update with this mask changes the field. */
export const masked = (paths: readonly string[] | undefined, field: string): boolean =>
  paths === undefined || paths.length === 0 || paths.some((path) => path === field || path.startsWith(`${field}.`));

/** Refuses paths of a mask that can't be updated. */
export function checkMask(paths: readonly string[] | undefined, fields: readonly string[], what: string): void {
  for (const path of paths ?? []) {
    if (!fields.includes(path.split(".")[0]!)) {
      throw new HullError("invalid-argument", `cannot update "${path}" field on ${what}: invalid argument`);
    }
  }
}

export { toTimestamp } from "../timestamp.ts";
