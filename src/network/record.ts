/** What netd remembers: networks (data root), reservations (data root) and sandboxes of running containers (exec root). Plain data. */
import type { ConnectRequest, Endpoint, EndpointRequest, IpamPoolConfig, PublishedPort } from "./api.ts";
import { type Address, type Prefix, parseAddress, parsePrefix } from "./ipam/prefix.ts";

export interface FoundBridge {
  readonly group: number;
  readonly alias: string;
}

/** As stored. Options are kept as given; `subnets` is what was decided. */
export interface StoredNetwork {
  readonly id: string;
  readonly name: string;
  readonly driver: "bridge" | "host" | "null";
  readonly created: string;
  readonly internal: boolean;
  readonly attachable: boolean;
  readonly ingress: boolean;
  readonly enableIPv4: boolean;
  readonly enableIPv6: boolean;
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly ipamDriver: string;
  readonly ipamOptions: Readonly<Record<string, string>>;
  /** In inspect's form. */
  readonly ipam: readonly IpamPoolConfig[];
  /** A subnet was asked for, so static addresses are allowed. */
  readonly userSubnet: boolean;
  readonly predefined: boolean;
  readonly bridgeName: string;
  /** The bridge was there before us: what it was is put back instead of deleting it. */
  readonly found?: FoundBridge;
  /** Being removed: what it has in the kernel is taken away at the next start. */
  readonly removing?: boolean;
}

export const gatewayModes = ["nat", "nat-unprotected", "routed", "isolated"] as const;
export type GatewayMode = (typeof gatewayModes)[number];

export interface Subnet {
  readonly prefix: Prefix;
  readonly range: Prefix;
  readonly gateway: Address;
  readonly auxiliary: readonly Address[];
}

/** A bridge network, its texts parsed. */
export interface BridgeNetwork {
  readonly stored: StoredNetwork;
  readonly bridge: string;
  readonly mtu: number;
  readonly icc: boolean;
  readonly masquerade: boolean;
  readonly mode: GatewayMode;
  /** Default host address of published ports; empty: all. */
  readonly hostBinding: string;
  /** Source address of masqueraded traffic; empty: the interface's. */
  readonly hostIpv4: string;
  readonly interfacePrefix: string;
  readonly subnet4: Subnet | undefined;
  readonly subnet6: Subnet | undefined;
  /** No embedded DNS on the default bridge. */
  readonly embeddedDns: boolean;
}

export const option = {
  bridgeName: "com.docker.network.bridge.name",
  masquerade: "com.docker.network.bridge.enable_ip_masquerade",
  icc: "com.docker.network.bridge.enable_icc",
  hostBinding: "com.docker.network.bridge.host_binding_ipv4",
  gatewayMode4: "com.docker.network.bridge.gateway_mode_ipv4",
  gatewayMode6: "com.docker.network.bridge.gateway_mode_ipv6",
  defaultBridge: "com.docker.network.bridge.default_bridge",
  mtu: "com.docker.network.driver.mtu",
  interfacePrefix: "com.docker.network.container_iface_prefix",
  hostIpv4: "com.docker.network.host_ipv4",
} as const;

export const DEFAULT_MTU = 1500;

export function parseBridgeNetwork(stored: StoredNetwork): BridgeNetwork {
  const { options } = stored;
  const subnets = stored.ipam.map(parseSubnet);
  return {
    stored,
    bridge: stored.bridgeName,
    mtu: Number(options[option.mtu] ?? DEFAULT_MTU),
    icc: options[option.icc] !== "false",
    masquerade: options[option.masquerade] !== "false",
    mode: (options[option.gatewayMode4] as GatewayMode | undefined) ?? "nat",
    hostBinding: options[option.hostBinding] ?? "",
    hostIpv4: options[option.hostIpv4] ?? "",
    interfacePrefix: options[option.interfacePrefix] ?? "eth",
    subnet4: subnets.find((subnet) => subnet.prefix.family === 4),
    subnet6: subnets.find((subnet) => subnet.prefix.family === 6),
    embeddedDns: options[option.defaultBridge] !== "true",
  };
}

function parseSubnet(pool: IpamPoolConfig): Subnet {
  const prefix = parsePrefix(pool.subnet ?? "");
  return {
    prefix,
    range: pool.ipRange ? parsePrefix(pool.ipRange) : prefix,
    gateway: parseAddress(pool.gateway ?? ""),
    auxiliary: Object.values(pool.auxAddresses ?? {}).map(parseAddress),
  };
}

export interface EndpointRecord extends Endpoint {
  /** Name of the host's end of the veth pair; empty for host and none. */
  readonly hostInterface: string;
  /** Index of the interface in the container's namespace. */
  readonly index: number;
  readonly request: EndpointRequest;
}

/** A published port with what holds it. */
export interface PortRecord extends PublishedPort {
  /** Decimal u64: the id `keel ports` knows it by. */
  readonly portId: string;
  readonly targetIp: string;
}

/** One container's networking. "connecting" is written before anything is made, so that a crash leaves an owner's name. */
export interface SandboxRecord {
  readonly containerId: string;
  readonly state: "connecting" | "connected" | "releasing";
  readonly request: ConnectRequest;
  readonly netnsPath: string;
  readonly endpoints: readonly EndpointRecord[];
  readonly ports: readonly PortRecord[];
  /** Where pause opens the DNS sockets; 0: nowhere. */
  readonly dnsPort: number;
  /** Queries to 127.0.0.11 are led there: the container is on a user-defined network. */
  readonly dnsRedirected: boolean;
  /** Of the pause that holds the DNS sockets; empty until borrowed. */
  readonly pauseSocket: string;
}

/** Addresses held for a container while it exists. */
export interface StoredReservation {
  readonly containerId: string;
  readonly endpoints: readonly EndpointRequest[];
}
