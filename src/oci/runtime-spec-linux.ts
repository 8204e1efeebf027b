/** The `linux` part of config.json (config-linux.md). */
import {
  filledText,
  flag,
  list,
  oneOf,
  optional,
  orElse,
  parseDocument,
  type Read,
  shape,
  table,
  text,
  u32,
  u64,
  whole,
} from "./json-shape.ts";
import { seccompShape } from "./seccomp-profile.ts";

const namespace = shape({
  type: oneOf("pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"),
  path: orElse(text, ""),
});

const idMapping = shape({ containerID: u32, hostID: u32, size: u32 });

const device = shape({
  type: oneOf("c", "b", "u", "p"),
  path: filledText,
  major: orElse(whole(0), 0),
  minor: orElse(whole(0), 0),
  fileMode: optional(whole(0, 0o7777)),
  uid: orElse(u32, 0),
  gid: orElse(u32, 0),
});

/** `major` or `minor` absent or -1: any. `type` absent: "a", all. */
const deviceRule = shape({
  allow: flag,
  type: orElse(oneOf("a", "b", "c", "u"), "a"),
  major: optional(whole(-1)),
  minor: optional(whole(-1)),
  access: orElse(text, ""),
});

const throttle = list(shape({ major: whole(0), minor: whole(0), rate: whole(0) }));
const amount = optional(whole(-1));

/** Limits. Bytes, microseconds, shares, as the specification has them. */
export const resourcesShape = shape({
  devices: list(deviceRule),
  memory: optional(
    shape({
      limit: amount,
      reservation: amount,
      swap: amount,
      kernel: amount,
      kernelTCP: amount,
      swappiness: optional(whole(0, 200)),
      disableOOMKiller: optional(flag),
      useHierarchy: optional(flag),
      checkBeforeUpdate: orElse(flag, false),
    }),
  ),
  cpu: optional(
    shape({
      shares: optional(whole(0)),
      quota: optional(whole()),
      burst: optional(whole(0)),
      period: optional(whole(0)),
      realtimeRuntime: optional(whole()),
      realtimePeriod: optional(whole(0)),
      cpus: orElse(text, ""),
      mems: orElse(text, ""),
      idle: optional(whole(0, 1)),
    }),
  ),
  pids: optional(shape({ limit: optional(whole()) })),
  blockIO: optional(
    shape({
      weight: optional(whole(0, 1000)),
      leafWeight: optional(whole(0, 1000)),
      weightDevice: list(
        shape({
          major: whole(0),
          minor: whole(0),
          weight: optional(whole(0, 1000)),
          leafWeight: optional(whole(0, 1000)),
        }),
      ),
      throttleReadBpsDevice: throttle,
      throttleWriteBpsDevice: throttle,
      throttleReadIOPSDevice: throttle,
      throttleWriteIOPSDevice: throttle,
    }),
  ),
  hugepageLimits: list(shape({ pageSize: filledText, limit: u64 })),
  network: optional(shape({ classID: optional(u32), priorities: list(shape({ name: filledText, priority: u32 })) })),
  rdma: table(shape({ hcaHandles: optional(u32), hcaObjects: optional(u32) })),
  unified: table(text),
});

export type SpecResources = Read<typeof resourcesShape>;

/** `linux.resources` alone, as an update carries it. */
export const parseResources = (source: string | Uint8Array, document = "resources"): SpecResources =>
  parseDocument(source, document, resourcesShape);

export const noResources: SpecResources = resourcesShape({ value: {}, at: "/linux/resources", document: "" });

/** Present and unsupported ones are refused by the compiler, so all that matters is that they are there. */
const anything = (node: { readonly value: unknown }): boolean => node.value !== undefined && node.value !== null;

export const linux = shape({
  namespaces: list(namespace),
  uidMappings: list(idMapping),
  gidMappings: list(idMapping),
  timeOffsets: table(shape({ secs: orElse(whole(), 0), nanosecs: orElse(whole(0, 999_999_999), 0) })),
  devices: list(device),
  cgroupsPath: orElse(text, ""),
  resources: orElse(resourcesShape, noResources),
  rootfsPropagation: orElse(
    oneOf("", "shared", "slave", "private", "unbindable", "rshared", "rslave", "rprivate", "runbindable"),
    "",
  ),
  seccomp: optional(seccompShape),
  sysctl: table(text),
  maskedPaths: list(filledText),
  readonlyPaths: list(filledText),
  mountLabel: orElse(text, ""),
  personality: optional(shape({ domain: oneOf("LINUX", "LINUX32"), flags: list(text) })),
  intelRdt: anything,
  memoryPolicy: anything,
  netDevices: anything,
});

export type SpecLinux = Read<typeof linux>;
export type SpecNamespace = Read<typeof namespace>;
export type SpecDevice = Read<typeof device>;
export type SpecDeviceRule = Read<typeof deviceRule>;
export type SpecIdMapping = Read<typeof idMapping>;
export type SpecSeccomp = Read<typeof seccompShape>;
