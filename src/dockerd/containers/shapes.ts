/** The JSON shapes of what containers are created and changed with. Field names are Docker's. */
import { boolean, integer, list, map, optional, type Shape, struct, text, textOrList } from "../http/shape.ts";

const empty = struct("struct {}", {});
const int = integer("int64");
const texts = list(text);
const labels = map(text);

/** A Go slice that stays null when it is absent. */
const nullable = <T>(of: Shape<readonly T[]>): Shape<readonly T[] | null> => ({
  goType: of.goType,
  zero: () => null,
  decode: (value, at) => (value === null || value === undefined ? null : of.decode(value, at)),
});

export const healthcheckShape = struct("HealthConfig", {
  Test: texts,
  Interval: int,
  Timeout: int,
  StartPeriod: int,
  StartInterval: int,
  Retries: integer("int"),
});

export const configFields = {
  Hostname: text,
  Domainname: text,
  User: text,
  AttachStdin: boolean,
  AttachStdout: boolean,
  AttachStderr: boolean,
  ExposedPorts: map(empty),
  Tty: boolean,
  OpenStdin: boolean,
  StdinOnce: boolean,
  Env: texts,
  Cmd: optional(textOrList),
  Healthcheck: optional(healthcheckShape),
  ArgsEscaped: boolean,
  Image: text,
  Volumes: map(empty),
  WorkingDir: text,
  Entrypoint: optional(textOrList),
  NetworkDisabled: boolean,
  MacAddress: text,
  OnBuild: nullable(texts),
  Labels: labels,
  StopSignal: text,
  StopTimeout: optional(integer("int")),
  Shell: texts,
};

const throttle = nullable(list(struct("blkiodev.ThrottleDevice", { Path: text, Rate: integer("uint64") })));

export const resourceFields = {
  CpuShares: int,
  Memory: int,
  NanoCpus: int,
  CgroupParent: text,
  BlkioWeight: integer("uint16"),
  BlkioWeightDevice: nullable(list(struct("blkiodev.WeightDevice", { Path: text, Weight: integer("uint16") }))),
  BlkioDeviceReadBps: throttle,
  BlkioDeviceWriteBps: throttle,
  BlkioDeviceReadIOps: throttle,
  BlkioDeviceWriteIOps: throttle,
  CpuPeriod: int,
  CpuQuota: int,
  CpuRealtimePeriod: int,
  CpuRealtimeRuntime: int,
  CpusetCpus: text,
  CpusetMems: text,
  Devices: nullable(
    list(struct("DeviceMapping", { PathOnHost: text, PathInContainer: text, CgroupPermissions: text })),
  ),
  DeviceCgroupRules: nullable(texts),
  DeviceRequests: nullable(
    list(
      struct("DeviceRequest", {
        Driver: text,
        Count: integer("int"),
        DeviceIDs: nullable(texts),
        Capabilities: nullable(list(texts)),
        Options: labels,
      }),
    ),
  ),
  MemoryReservation: int,
  MemorySwap: int,
  MemorySwappiness: optional(int),
  OomKillDisable: optional(boolean),
  PidsLimit: optional(int),
  Ulimits: nullable(list(struct("units.Ulimit", { Name: text, Hard: int, Soft: int }))),
  CpuCount: int,
  CpuPercent: int,
  IOMaximumIOps: integer("uint64"),
  IOMaximumBandwidth: integer("uint64"),
};

const mountShape = struct("mount.Mount", {
  Type: text,
  Source: text,
  Target: text,
  ReadOnly: boolean,
  Consistency: text,
  BindOptions: optional(
    struct("mount.BindOptions", {
      Propagation: text,
      NonRecursive: boolean,
      CreateMountpoint: boolean,
      ReadOnlyNonRecursive: boolean,
      ReadOnlyForceRecursive: boolean,
    }),
  ),
  VolumeOptions: optional(
    struct("mount.VolumeOptions", {
      NoCopy: boolean,
      Labels: labels,
      Subpath: text,
      DriverConfig: optional(struct("mount.Driver", { Name: text, Options: labels })),
    }),
  ),
  TmpfsOptions: optional(
    struct("mount.TmpfsOptions", { SizeBytes: int, Mode: integer("uint32"), Options: list(texts) }),
  ),
  ImageOptions: optional(struct("mount.ImageOptions", { Subpath: text })),
});

const bindings = list(struct("nat.PortBinding", { HostIp: text, HostPort: text }));

export const restartPolicyShape = struct("RestartPolicy", { Name: text, MaximumRetryCount: integer("int") });

const hostFields = {
  ...resourceFields,
  Binds: nullable(texts),
  ContainerIDFile: text,
  LogConfig: struct("LogConfig", { Type: text, Config: labels }),
  NetworkMode: text,
  PortBindings: map(bindings),
  RestartPolicy: restartPolicyShape,
  AutoRemove: boolean,
  VolumeDriver: text,
  VolumesFrom: nullable(texts),
  ConsoleSize: list(integer("uint16")),
  Annotations: labels,
  CapAdd: nullable(textOrList),
  CapDrop: nullable(textOrList),
  CgroupnsMode: text,
  Dns: texts,
  DnsOptions: texts,
  DnsSearch: texts,
  ExtraHosts: nullable(texts),
  GroupAdd: nullable(texts),
  IpcMode: text,
  Cgroup: text,
  Links: nullable(texts),
  OomScoreAdj: integer("int"),
  PidMode: text,
  Privileged: boolean,
  PublishAllPorts: boolean,
  ReadonlyRootfs: boolean,
  SecurityOpt: nullable(texts),
  StorageOpt: labels,
  Tmpfs: labels,
  UTSMode: text,
  UsernsMode: text,
  ShmSize: int,
  Sysctls: labels,
  Runtime: text,
  Isolation: text,
  Mounts: list(mountShape),
  MaskedPaths: nullable(texts),
  ReadonlyPaths: nullable(texts),
  Init: optional(boolean),
};

/** What a client may say about an attachment; the other fields of Docker's type are the engine's to fill. */
export const endpointShape = struct("network.EndpointSettings", {
  IPAMConfig: optional(
    struct("network.EndpointIPAMConfig", { IPv4Address: text, IPv6Address: text, LinkLocalIPs: texts }),
  ),
  Links: nullable(texts),
  Aliases: nullable(texts),
  MacAddress: text,
  DriverOpts: labels,
  GwPriority: integer("int"),
  NetworkID: text,
});

export const hostShape = struct("HostConfig", hostFields);

export const createShape = struct("CreateRequest", {
  ...configFields,
  HostConfig: optional(hostShape),
  NetworkingConfig: optional(struct("network.NetworkingConfig", { EndpointsConfig: map(endpointShape) })),
});

export const updateShape = struct("UpdateConfig", { ...resourceFields, RestartPolicy: restartPolicyShape });
