/** What we tell clients that we can do; a client uses only what is listed. Names are BuildKit's (solver/pb/caps.go, frontend/gateway/pb/caps.go). */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { APICapSchema } from "../gen/moby/buildkit/v1/apicaps/caps_pb.ts";

const frontend = [
  "solve.base",
  "resolveimage",
  "resolveimage.resolvemode",
  "return",
  "returnmap",
  "proto.refarray",
  "reference.output",
  "frontend.inputs",
  "gateway.solve.metadata",
  "frontend.caps",
  "gateway.solve.evaluate",
  "gateway.evaluate",
  "gateway.warnings",
];

const solver = [
  "source.image",
  "source.image.resolvemode",
  "source.local",
  "source.local.unique",
  "source.local.sessionid",
  "source.local.includepatterns",
  "source.local.followpaths",
  "source.local.excludepatterns",
  "source.local.sharedkeyhint",
  "source.local.differ",
  "exec.meta.base",
  "exec.meta.cgroup.parent",
  "exec.meta.network",
  "exec.meta.proxyenv",
  "exec.meta.security",
  "exec.meta.setsdefaultpath",
  "exec.meta.ulimit",
  "exec.mount.bind",
  "exec.mount.bind.readwrite-nooutput",
  "exec.mount.cache",
  "exec.mount.cache.sharing",
  "exec.mount.selector",
  "exec.mount.tmpfs",
  "exec.mount.tmpfs.size",
  "exec.mount.secret",
  "exec.mount.ssh",
  "exec.secretenv",
  "file.base",
  "constraints",
  "platform",
  "meta.ignorecache",
  "meta.description",
  "mergeop",
  "exporter.sourcedateepoch",
  "exporter.multiple",
  "exporter.image.attestations",
  "gc.freespacefilter",
];

type Capability = MessageInitShape<typeof APICapSchema>;

const enabled = (names: readonly string[]): Capability[] => names.map((ID) => ({ ID, Enabled: true }));

export const frontendCapabilities = enabled(frontend);
export const solverCapabilities = enabled(solver);
