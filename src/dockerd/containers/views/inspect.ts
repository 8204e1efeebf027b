/** GET /containers/{id}/json. Pure. */
import type { ResolvedImage } from "../../images/api.ts";
import type { EndpointSettings } from "../config.ts";
import { attachments, type ContainerMount, type ContainerRecord, logPathOf } from "../record.ts";
import { stateJson } from "../stored.ts";

export interface InspectFacts {
  readonly execIds: readonly string[];
  /** Bytes; undefined unless asked for. */
  readonly size: { readonly rw: number; readonly rootFs: number } | undefined;
  readonly image: ResolvedImage | undefined;
}

export function inspect(record: ContainerRecord, facts: InspectFacts): object {
  const { directory, id } = record;
  return {
    Id: id,
    Created: record.created,
    Path: record.path,
    Args: record.args,
    State: stateJson(record.state, record.health),
    Image: record.imageId,
    ResolvConfPath: `${directory}/resolv.conf`,
    HostnamePath: `${directory}/hostname`,
    HostsPath: `${directory}/hosts`,
    LogPath: record.hostConfig.LogConfig.Type === "none" ? "" : logPathOf(record),
    Name: `/${record.name}`,
    RestartCount: record.restartCount,
    Driver: record.driver,
    Platform: record.platform,
    MountLabel: "",
    ProcessLabel: "",
    AppArmorProfile: "",
    ExecIDs: facts.execIds.length > 0 ? facts.execIds : null,
    HostConfig: record.hostConfig,
    GraphDriver: { Data: { ID: id, ...record.graph }, Name: record.driver },
    ...(facts.size && { SizeRw: facts.size.rw, SizeRootFs: facts.size.rootFs }),
    Mounts: record.mounts.map(mountJson),
    Config: record.config,
    NetworkSettings: networkSettings(record),
    ...(facts.image && {
      ImageManifestDescriptor: {
        ...facts.image.manifest,
        platform: { architecture: facts.image.config.platform.architecture, os: facts.image.config.platform.os },
      },
    }),
  };
}

/** As inspect and list show a mount. */
export function mountJson(mount: ContainerMount): object {
  const { Type, Name, Source, Destination, Driver, Mode, RW, Propagation } = mount;
  return {
    Type,
    ...(Name !== undefined && { Name }),
    Source,
    Destination,
    ...(Driver && { Driver }),
    Mode,
    RW,
    Propagation,
  };
}

/** With the fields from before networks had names: those of the default bridge. */
function networkSettings(record: ContainerRecord): object {
  const networks = attachments(record);
  const legacy: Partial<EndpointSettings> = record.sandbox.endpoints.bridge ?? {};
  return {
    Bridge: "",
    SandboxID: record.sandbox.id,
    SandboxKey: record.sandbox.key,
    Ports: record.sandbox.ports,
    HairpinMode: false,
    LinkLocalIPv6Address: "",
    LinkLocalIPv6PrefixLen: 0,
    SecondaryIPAddresses: null,
    SecondaryIPv6Addresses: null,
    EndpointID: legacy.EndpointID ?? "",
    Gateway: legacy.Gateway ?? "",
    GlobalIPv6Address: legacy.GlobalIPv6Address ?? "",
    GlobalIPv6PrefixLen: legacy.GlobalIPv6PrefixLen ?? 0,
    IPAddress: legacy.IPAddress ?? "",
    IPPrefixLen: legacy.IPPrefixLen ?? 0,
    IPv6Gateway: legacy.IPv6Gateway ?? "",
    MacAddress: legacy.MacAddress ?? "",
    Networks: networks,
  };
}
