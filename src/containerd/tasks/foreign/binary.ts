/** Which program runs a container, from its record: containerd's options for runc name one (`binary_name`). */
import { fromBinary } from "@bufbuild/protobuf";
import { HullError } from "../../../platform/errors.ts";
import { OptionsSchema } from "../../gen/containerd/runc/v1/options_pb.ts";
import type { Container } from "../../gen/containerd/services/containers/v1/containers_pb.ts";

const runcShims = [
  "",
  "io.containerd.runc.v2",
  "io.containerd.runtime.v1.linux",
  "io.containerd.runc.v1",
  "io.containerd.hull.v1",
];

/** "": our own. Throws `unimplemented` for shims of other kinds. */
export function runtimeBinary(runtime: Container["runtime"]): string {
  const name = runtime?.name ?? "";
  if (!runcShims.includes(name))
    throw new HullError(
      "unimplemented",
      `runtime ${name}: shims of other kinds are not supported: use io.containerd.runc.v2 with the binary name of an OCI runtime`,
    );
  if (runtime?.options === undefined || runtime.options.typeUrl.split("/").at(-1) !== OptionsSchema.typeName) return "";
  const { binaryName } = fromBinary(OptionsSchema, runtime.options.value);
  return ["runc", "hull-runc"].includes(binaryName) ? "" : binaryName;
}
