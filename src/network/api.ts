/**
 * What hull-netd offers over its socket (`<exec-root>/netd.sock`, src/platform/rpc.ts). Every method is idempotent and what
 * concerns a container is keyed by its id, so a caller that lost the connection just calls again.
 *
 * Lifecycle of a container's networking:
 *   `reserve` at create (static addresses are held, also while it is stopped) -> `connect` at start (namespace, interfaces, ports, DNS
 *   names; again at a restart: the same answer while the sandbox lives) -> `borrowDns` once pause runs -> `release` at stop
 *   (everything but the reservation) -> `forget` at removal.
 */
import type { Stream, Unary } from "../platform/rpc.ts";

/** hull-netd's exit code when what it was told cannot be had; trying again does not help. */
export const REFUSED_EXIT = 3;

export const NETD_SOCKET = "netd.sock";

export type Empty = Readonly<Record<string, never>>;

export interface NetdMethods {
  ping: Unary<Empty, Pong>;
  status: Unary<Empty, NetdStatus>;
  /** Throws already-exists `network with name x already exists`, invalid-argument, failed-precondition (pool overlaps). */
  createNetwork: Unary<CreateNetwork, NetworkDetails>;
  /** By id, name or unambiguous id prefix. Throws not-found, permission-denied (predefined), failed-precondition (in use). */
  removeNetwork: Unary<NetworkReference, NetworkDetails>;
  listNetworks: Unary<Empty, readonly NetworkDetails[]>;
  inspectNetwork: Unary<NetworkReference, NetworkDetails>;
  reserve: Unary<Reservation, Empty>;
  connect: Unary<ConnectRequest, Connected>;
  /** What `connect` answered, while it holds. Throws not-found. */
  inspect: Unary<ContainerKey, Connected>;
  /** Adds an endpoint to a connected container, live. */
  connectNetwork: Unary<LiveConnect, Connected>;
  /** Takes an endpoint off, live, or its reservation. */
  disconnectNetwork: Unary<LiveDisconnect, Connected>;
  /** The container's names have changed. */
  rename: Unary<ContainerKey & { readonly names: Names }, Empty>;
  /** Answers the DNS queries of this container from now on. Nothing to do for containers without user-defined networks. */
  borrowDns: Unary<ContainerKey & { readonly pauseSocket: string }, Empty>;
  release: Unary<ContainerKey, Empty>;
  /** `release` and the reservation too. */
  forget: Unary<ContainerKey, Empty>;
  /** Releases what belongs to none of these containers: called by hulld once it knows what exists and what runs. */
  retain: Unary<{ readonly running: readonly string[]; readonly existing: readonly string[] }, Empty>;
  /** Undoes everything on the host (bridges, chains, forwarding) when no container is connected; the networks stay recorded. */
  standDown: Unary<Empty, { readonly done: boolean }>;
  /** Spans of a trace that netd took part in: SpanRecord of src/trace/span.ts. */
  spans: Unary<{ readonly traceId: string }, readonly Readonly<Record<string, unknown>>[]>;
  events: Stream<Empty, NetdEvent>;
}

export interface ContainerKey {
  readonly containerId: string;
}

export interface NetworkReference {
  readonly network: string;
}

export interface Pong {
  readonly version: string;
  readonly pid: number;
  /** Epoch milliseconds. */
  readonly startedAtMs: number;
}

export interface NetdStatus extends Pong {
  readonly firewallBackend: "iptables" | "nftables" | "none";
  /** Sentences about what this host lacks. */
  readonly degraded: readonly string[];
  readonly defaultBridge: string;
  readonly networks: number;
  readonly endpoints: number;
  readonly poolReady: number;
  readonly repairs: number;
}

export interface IpamPoolConfig {
  /** CIDR. */
  readonly subnet?: string;
  readonly ipRange?: string;
  readonly gateway?: string;
  readonly auxAddresses?: Readonly<Record<string, string>>;
}

export interface CreateNetwork {
  readonly name: string;
  /** bridge (default, also ""), others are refused by name. */
  readonly driver?: string;
  readonly internal?: boolean;
  readonly attachable?: boolean;
  readonly ingress?: boolean;
  readonly enableIPv4?: boolean;
  readonly enableIPv6?: boolean;
  readonly options?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly ipamDriver?: string;
  readonly ipamOptions?: Readonly<Record<string, string>>;
  readonly ipam?: readonly IpamPoolConfig[];
}

export interface NetworkDetails {
  /** 64 hex digits. */
  readonly id: string;
  readonly name: string;
  readonly driver: "bridge" | "host" | "null";
  readonly scope: "local";
  /** RFC 3339 with nanoseconds. */
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
  readonly ipam: readonly IpamPoolConfig[];
  /** bridge, host and none. */
  readonly predefined: boolean;
  /** Name of the bridge interface; empty for host and none. */
  readonly bridgeName: string;
  /** Connected containers (not those with a mere reservation). */
  readonly endpoints: readonly NetworkEndpoint[];
}

export interface NetworkEndpoint {
  readonly containerId: string;
  /** The container's name. */
  readonly name: string;
  readonly endpointId: string;
  readonly mac: string;
  /** With prefix length ("172.18.0.2/16"), or empty. */
  readonly ipv4: string;
  readonly ipv6: string;
}

export interface Names {
  /** Without slash. */
  readonly name: string;
  readonly hostname: string;
  readonly domainname?: string;
}

/** What is asked for on one network. */
export interface EndpointRequest {
  /** Id, name, or "default". */
  readonly network: string;
  readonly aliases?: readonly string[];
  /** Names that only this container resolves, from `--link container:alias`: alias -> container id. */
  readonly links?: Readonly<Record<string, string>>;
  /** Static addresses. */
  readonly ip?: string;
  readonly ip6?: string;
  readonly mac?: string;
  readonly gwPriority?: number;
  readonly driverOpts?: Readonly<Record<string, string>>;
}

export interface Reservation extends ContainerKey {
  /** Replaces the earlier reservation of this container. */
  readonly endpoints: readonly EndpointRequest[];
}

export interface PortRequest {
  readonly proto: "tcp" | "udp";
  readonly containerPort: number;
  /** Empty: every host address, v4 and v6. */
  readonly hostIp: string;
  /** 0: an ephemeral one. */
  readonly hostPort: number;
  /** Last port of a range of which any free one may be taken; hostPort when absent. */
  readonly hostPortEnd?: number;
}

export interface DnsRequest {
  readonly servers?: readonly string[];
  readonly search?: readonly string[];
  readonly options?: readonly string[];
}

export interface ConnectRequest extends ContainerKey {
  /** host: the machine's namespace; none: loopback only. */
  readonly sandboxKind: "private" | "none" | "host";
  readonly names: Names;
  readonly endpoints: readonly EndpointRequest[];
  readonly ports: readonly PortRequest[];
  readonly dns?: DnsRequest;
  /** Makes a new namespace although one of this container is still there (its pause was killed). */
  readonly fresh?: boolean;
}

export interface Connected {
  readonly containerId: string;
  /** Path to join; empty for the host's namespace. */
  readonly netnsPath: string;
  readonly endpoints: readonly Endpoint[];
  readonly ports: readonly PublishedPort[];
  /** What pause opens inside the namespace and holds; empty where no embedded DNS is. Addresses as "ip:port". */
  readonly dnsSockets: readonly DnsSocket[];
  /** Contents of /etc/resolv.conf. */
  readonly resolvConf: string;
  /** Addresses that `host-gateway` in --add-host stands for. */
  readonly hostGateway: readonly string[];
}

export interface DnsSocket {
  readonly name: "dns-udp" | "dns-tcp";
  /** AF_INET. */
  readonly family: 2;
  /** SOCK_STREAM 1, SOCK_DGRAM 2. */
  readonly type: 1 | 2;
  readonly address: string;
}

export interface Endpoint {
  readonly networkId: string;
  readonly networkName: string;
  readonly endpointId: string;
  readonly ifName: string;
  readonly mac: string;
  /** Empty where the network has no such family, or is host or none. */
  readonly ip: string;
  readonly prefixLength: number;
  readonly gateway: string;
  readonly ip6: string;
  readonly prefixLength6: number;
  readonly gateway6: string;
  /** Names the embedded DNS answers with this endpoint (aliases, name, short id); empty on the default bridge. */
  readonly dnsNames: readonly string[];
  readonly aliases: readonly string[];
  readonly driverOpts: Readonly<Record<string, string>>;
  readonly gwPriority: number;
  /** The endpoint's default route is the container's. */
  readonly isGateway: boolean;
}

export interface PublishedPort {
  readonly proto: "tcp" | "udp";
  readonly containerPort: number;
  readonly hostIp: string;
  readonly hostPort: number;
}

export interface LiveConnect extends ContainerKey {
  readonly endpoint: EndpointRequest;
}

export interface LiveDisconnect extends ContainerKey {
  readonly network: string;
}

export type NetdEvent =
  /** Something of ours was missing or changed and is right again. */
  | { readonly kind: "heal"; readonly what: string; readonly offender: string; readonly atMs: number }
  | { readonly kind: "degraded"; readonly what: string; readonly atMs: number }
  /** The list of networks has changed. */
  | { readonly kind: "networks"; readonly atMs: number };
