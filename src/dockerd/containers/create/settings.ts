/** A decoded create request plus the image's config -> the container's settings with every default filled in. Pure. */
import { defaultMaskedPaths, defaultReadonlyPaths } from "../../../oci/default-spec.ts";
import { type Decoded, struct } from "../../http/shape.ts";
import type { ContainerConfig, EndpointSettings, HealthcheckConfig, HostConfig, Resources } from "../config.ts";
import { configFields, type createShape, hostShape, resourceFields } from "../shapes.ts";
import { invalid } from "./refusal.ts";

export type CreateBody = Decoded<typeof createShape>;
type HostBody = NonNullable<CreateBody["HostConfig"]>;

/** The part of an OCI image config that containers inherit (image-spec config.md; Docker adds health checks, triggers and shells). */
const imageConfigShape = struct("DockerOCIImageConfig", configFields);
export type ImageDefaults = Decoded<typeof imageConfigShape>;

/** Of an image config's JSON document, which nobody has checked. Throws invalid-argument for wrong types. */
export const imageDefaults = (document: Readonly<Record<string, unknown>>): ImageDefaults =>
  imageConfigShape.decode(document.config, { struct: "", path: "" });

/** What the daemon's own configuration decides. */
export interface EngineDefaults {
  readonly logDriver: string;
  readonly logOptions: Readonly<Record<string, string>>;
  readonly shmSize: number;
  readonly runtime: string;
  readonly init: boolean;
  readonly cgroupns: "private" | "host";
  /** Of a privileged container: the host's where cgroups are v1. */
  readonly privilegedCgroupns: "private" | "host";
  readonly ipcMode: "private" | "shareable";
}

/** The command decides as a whole: giving an entrypoint drops the image's command too. */
export function configOf(body: CreateBody, image: ImageDefaults, id: string): ContainerConfig {
  const command = commandOf(body, image);
  const host = body.HostConfig;
  const sharesName = host?.NetworkMode.startsWith("container:") || host?.UTSMode === "host";
  const volumes = { ...image.Volumes, ...body.Volumes };
  const ports = {
    ...image.ExposedPorts,
    ...withProtocols(body.ExposedPorts),
    ...withProtocols(host?.PortBindings ?? {}),
  };
  const healthcheck = mergedHealthcheck(body.Healthcheck, image.Healthcheck);
  return {
    Hostname: body.Hostname || (sharesName ? "" : id.slice(0, 12)),
    Domainname: body.Domainname,
    User: body.User || image.User,
    AttachStdin: body.AttachStdin,
    AttachStdout: body.AttachStdout,
    AttachStderr: body.AttachStderr,
    ...(Object.keys(ports).length > 0 && { ExposedPorts: keysOf(ports) }),
    Tty: body.Tty,
    OpenStdin: body.OpenStdin,
    StdinOnce: body.StdinOnce,
    Env: mergedEnvironment(body.Env, image.Env),
    ...command,
    ...(healthcheck && { Healthcheck: healthcheck }),
    Image: body.Image,
    Volumes: Object.keys(volumes).length > 0 ? volumes : null,
    WorkingDir: cleanPath(body.WorkingDir || image.WorkingDir),
    ...(body.NetworkDisabled && { NetworkDisabled: true }),
    ...(body.MacAddress !== "" && { MacAddress: body.MacAddress }),
    OnBuild: body.OnBuild,
    Labels: { ...image.Labels, ...body.Labels },
    ...((body.StopSignal || image.StopSignal) && { StopSignal: body.StopSignal || image.StopSignal }),
    ...(body.StopTimeout !== undefined && { StopTimeout: body.StopTimeout }),
    ...(body.Shell.length > 0 ? { Shell: body.Shell } : image.Shell.length ? { Shell: image.Shell } : {}),
  };
}

function commandOf(body: CreateBody, image: ImageDefaults): Pick<ContainerConfig, "Cmd" | "Entrypoint"> {
  const own = body.Entrypoint !== undefined && body.Entrypoint.length > 0;
  const reset = own && body.Entrypoint!.length === 1 && body.Entrypoint![0] === "";
  const entrypoint = reset ? null : own ? body.Entrypoint! : (image.Entrypoint ?? null);
  const given = body.Cmd !== undefined && body.Cmd.length > 0;
  const cmd = given ? body.Cmd! : own ? null : (image.Cmd ?? null);
  if ((entrypoint?.length ?? 0) === 0 && (cmd?.length ?? 0) === 0) throw invalid("no command specified");
  return { Cmd: cmd, Entrypoint: entrypoint };
}

const nameOf = (variable: string): string => variable.split("=", 1)[0]!;

/** The image's variables, replaced by the request's of the same name; a request's "NAME" without "=" removes it when it runs. */
function mergedEnvironment(own: readonly string[], inherited: readonly string[]): string[] {
  const merged = new Map(inherited.map((variable) => [nameOf(variable), variable]));
  for (const variable of own) merged.set(nameOf(variable), variable);
  const ownNames = new Set(own.map(nameOf));
  const rest = inherited.filter((variable) => !ownNames.has(nameOf(variable)));
  return [...new Set([...own.map((variable) => merged.get(nameOf(variable))!), ...rest])];
}

function mergedHealthcheck(own: HealthcheckConfig | undefined, image: HealthcheckConfig | undefined) {
  if (!own || !image) return own || image ? withoutZeros((own ?? image)!) : undefined;
  const set = Object.entries(withoutZeros(own)).filter(([, value]) => !Array.isArray(value) || value.length > 0);
  return { ...withoutZeros(image), ...Object.fromEntries(set) };
}

const withoutZeros = (check: HealthcheckConfig): HealthcheckConfig =>
  Object.fromEntries(
    Object.entries(check).filter(([, value]) => value !== 0 && !(Array.isArray(value) && value.length === 0)),
  );

const keysOf = (ports: Readonly<Record<string, unknown>>): Record<string, object> =>
  Object.fromEntries(Object.keys(ports).map((port) => [port, {}]));

/** "80" -> "80/tcp". */
const withProtocols = <T>(ports: Readonly<Record<string, T>>): Record<string, T> =>
  Object.fromEntries(
    Object.entries(ports).map(([port, value]) => [port.includes("/") ? port.toLowerCase() : `${port}/tcp`, value]),
  );

/** Absolute paths without ".", ".." and double slashes; others as they are (they are refused later). */
export function cleanPath(path: string): string {
  if (!path.startsWith("/")) return path;
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}

export function hostConfigOf(body: HostBody | undefined, defaults: EngineDefaults): HostConfig {
  const host = body ?? hostShape.zero();
  const { Annotations, StorageOpt, Tmpfs, Sysctls, Mounts, Init, ...rest } = host;
  const resources = resourcesOf(host);
  const options = {
    ...(host.LogConfig.Type === "" || host.LogConfig.Type === defaults.logDriver ? defaults.logOptions : {}),
    ...host.LogConfig.Config,
  };
  return {
    ...rest,
    ...resources,
    ConsoleSize: [host.ConsoleSize[0] ?? 0, host.ConsoleSize[1] ?? 0],
    LogConfig: { Type: host.LogConfig.Type || defaults.logDriver, Config: options },
    NetworkMode: networkModeOf(host.NetworkMode),
    PortBindings: withProtocols(host.PortBindings),
    RestartPolicy: { ...host.RestartPolicy, Name: host.RestartPolicy.Name || "no" },
    CgroupnsMode: host.CgroupnsMode || (host.Privileged ? defaults.privilegedCgroupns : defaults.cgroupns),
    IpcMode: host.IpcMode || defaults.ipcMode,
    ShmSize: host.ShmSize || defaults.shmSize,
    Runtime: host.Runtime || defaults.runtime,
    CapAdd: normalCapabilities(host.CapAdd),
    CapDrop: normalCapabilities(host.CapDrop),
    MaskedPaths: host.MaskedPaths ?? (opensSystemPaths(host) ? null : defaultMaskedPaths),
    ReadonlyPaths: host.ReadonlyPaths ?? (opensSystemPaths(host) ? null : defaultReadonlyPaths),
    ...withEntries("Annotations", Annotations),
    ...withEntries("StorageOpt", StorageOpt),
    ...withEntries("Tmpfs", Tmpfs),
    ...withEntries("Sysctls", Sysctls),
    ...(Mounts.length > 0 && { Mounts: Mounts as unknown as NonNullable<HostConfig["Mounts"]> }),
    ...(Init !== undefined ? { Init } : defaults.init ? { Init: true } : {}),
  };
}

const opensSystemPaths = (host: HostBody): boolean =>
  host.Privileged || (host.SecurityOpt ?? []).includes("systempaths=unconfined");

const withEntries = <T extends object>(name: string, entries: T): Record<string, T> =>
  Object.keys(entries).length > 0 ? { [name]: entries } : {};

const networkModeOf = (mode: string): string => (mode === "" || mode === "default" ? "bridge" : mode);

/** "cap_net_admin", "NET_ADMIN" -> "CAP_NET_ADMIN". */
const normalCapabilities = (names: readonly string[] | null): readonly string[] | null =>
  names?.map((name) => {
    const upper = name.toUpperCase();
    return upper === "ALL" || upper.startsWith("CAP_") ? upper : `CAP_${upper}`;
  }) ?? null;

export type ResourcesBody = { readonly [K in keyof typeof resourceFields]: Decoded<(typeof resourceFields)[K]> };

/** Only the fields of resources: a body may hold more. */
const picked = (body: ResourcesBody): ResourcesBody =>
  Object.fromEntries(
    Object.keys(resourceFields).map((key) => [key, body[key as keyof ResourcesBody]]),
  ) as ResourcesBody;

/** Docker's implied values: swap is twice the memory, no limit is null. */
export function resourcesOf(body: ResourcesBody): Resources {
  const swap = body.Memory > 0 && body.MemorySwap === 0 ? body.Memory * 2 : body.MemorySwap;
  return {
    ...picked(body),
    MemorySwap: swap,
    MemorySwappiness: body.MemorySwappiness === -1 ? null : (body.MemorySwappiness ?? null),
    OomKillDisable: body.OomKillDisable ?? null,
    PidsLimit: body.PidsLimit === undefined || body.PidsLimit === 0 ? null : body.PidsLimit < 0 ? -1 : body.PidsLimit,
    BlkioWeightDevice: body.BlkioWeightDevice ?? [],
    BlkioDeviceReadBps: body.BlkioDeviceReadBps ?? [],
    BlkioDeviceWriteBps: body.BlkioDeviceWriteBps ?? [],
    BlkioDeviceReadIOps: body.BlkioDeviceReadIOps ?? [],
    BlkioDeviceWriteIOps: body.BlkioDeviceWriteIOps ?? [],
  };
}

type EndpointBody = NonNullable<CreateBody["NetworkingConfig"]>["EndpointsConfig"][string];

/** An attachment as asked for, with nothing assigned yet. */
export function endpointOf(body: EndpointBody | undefined): EndpointSettings {
  const ipam = body?.IPAMConfig;
  return {
    IPAMConfig: ipam ? ipamOf(ipam) : null,
    Links: body?.Links ?? null,
    Aliases: body?.Aliases ?? null,
    MacAddress: body?.MacAddress ?? "",
    DriverOpts: body && Object.keys(body.DriverOpts).length > 0 ? body.DriverOpts : null,
    GwPriority: body?.GwPriority ?? 0,
    NetworkID: body?.NetworkID ?? "",
    EndpointID: "",
    Gateway: "",
    IPAddress: "",
    IPPrefixLen: 0,
    IPv6Gateway: "",
    GlobalIPv6Address: "",
    GlobalIPv6PrefixLen: 0,
    DNSNames: null,
  };
}

function ipamOf(ipam: NonNullable<EndpointBody["IPAMConfig"]>): NonNullable<EndpointSettings["IPAMConfig"]> {
  return {
    ...(ipam.IPv4Address !== "" && { IPv4Address: ipam.IPv4Address }),
    ...(ipam.IPv6Address !== "" && { IPv6Address: ipam.IPv6Address }),
    ...(ipam.LinkLocalIPs.length > 0 && { LinkLocalIPs: ipam.LinkLocalIPs }),
  };
}
