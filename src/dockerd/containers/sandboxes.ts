/**
 * A container's place on networks: what it asks netd for and what it gets. Lifecycle per container: (reserve at create) -> connect
 * (start; again at a restart) -> running -> release (final stop) -> forget (removal); attach and detach change it at any time.
 */

import { socketName } from "../../keel/shim-client.ts";
import type { Connected, ConnectRequest, Endpoint, EndpointRequest } from "../../network/api.ts";
import type { NetdClient } from "../../network/client.ts";
import { formatTraceparent, type SpanContext } from "../../trace/context.ts";
import type { EndpointSettings, PortMap } from "./config.ts";
import { containerOf } from "./create/verify-modes.ts";
import { portMap, portRequests } from "./ports.ts";
import type { ContainerRecord } from "./record.ts";

export interface HeldSocket {
  readonly family: number;
  readonly type: number;
  readonly address: string;
  readonly name: string;
}

export interface Sandbox {
  readonly id: string;
  /** The network namespace pause joins; empty for the host's. */
  readonly key: string;
  readonly endpoints: Readonly<Record<string, EndpointSettings>>;
  readonly ports: PortMap;
  /** DNS sockets that pause opens. */
  readonly sockets: readonly HeldSocket[];
  /** The whole text; undefined: the file is another container's. */
  readonly resolvConf: string | undefined;
  readonly hostGateway: readonly string[];
}

const DEADLINE_MS = 30_000;
/** A hull-netd that starts again may have to wait for its turn while other engines start (host-turn.ts). */
const AWAY_MS = 10_000;

export interface SandboxFacts {
  readonly execRoot: string;
  readonly namespace: string;
  /** Host address of ports published without one; empty: all. */
  readonly defaultPortIp: string;
  readonly dns: {
    readonly servers: readonly string[];
    readonly search: readonly string[];
    readonly options: readonly string[];
  };
  /** Resolves the containers of --link. Throws not-found. */
  readonly lookUp: (reference: string) => ContainerRecord;
}

export class Sandboxes {
  constructor(
    private readonly netd: NetdClient,
    private readonly facts: SandboxFacts,
  ) {}

  /** Static addresses are held from now on. Throws Docker's words. */
  async reserve(record: ContainerRecord): Promise<void> {
    await this.netd.call("reserve", { containerId: record.id, endpoints: this.#endpoints(record) }, this.#options());
  }

  async connect(record: ContainerRecord, parent: SpanContext | undefined): Promise<Sandbox> {
    if (containerOf(record.hostConfig.NetworkMode) !== undefined) return joined(record);
    const connected = await this.netd.call("connect", this.#request(record), this.#options(parent));
    return sandboxOf(record, connected);
  }

  /** What is connected now, after a restart of ours. Throws not-found. */
  async inspect(record: ContainerRecord): Promise<Sandbox> {
    if (containerOf(record.hostConfig.NetworkMode) !== undefined) return joined(record);
    return sandboxOf(record, await this.netd.call("inspect", { containerId: record.id }, this.#options()));
  }

  /** Its pause runs: netd answers the DNS queries from now on. */
  async running(record: ContainerRecord): Promise<void> {
    if (containerOf(record.hostConfig.NetworkMode) !== undefined || record.hostConfig.NetworkMode === "host") return;
    const pauseSocket = `${this.facts.execRoot}/p/${socketName(this.facts.namespace, record.id)}`;
    await this.netd.call("borrowDns", { containerId: record.id, pauseSocket }, this.#options());
  }

  async rename(record: ContainerRecord): Promise<void> {
    await this.netd.call("rename", { containerId: record.id, names: namesOf(record) }, this.#options());
  }

  /** Nothing connected is fine. */
  async release(record: ContainerRecord): Promise<void> {
    await this.netd.call("release", { containerId: record.id }, this.#options());
  }

  /** Reservations too. */
  async forget(record: ContainerRecord): Promise<void> {
    await this.netd.call("forget", { containerId: record.id }, this.#options());
  }

  /** Releases what belongs to none of these. */
  async retain(running: readonly string[], existing: readonly string[]): Promise<void> {
    await this.netd.call("retain", { running, existing }, this.#options());
  }

  async attach(record: ContainerRecord, network: string, settings: EndpointSettings): Promise<Sandbox> {
    const endpoint = this.#endpoint(network, settings);
    return sandboxOf(
      record,
      await this.netd.call("connectNetwork", { containerId: record.id, endpoint }, this.#options()),
    );
  }

  async detach(record: ContainerRecord, network: string): Promise<Sandbox> {
    return sandboxOf(
      record,
      await this.netd.call("disconnectNetwork", { containerId: record.id, network }, this.#options()),
    );
  }

  #options(parent?: SpanContext) {
    const patience = { signal: AbortSignal.timeout(DEADLINE_MS), retryForMs: AWAY_MS };
    return { ...patience, ...(parent && { trace: formatTraceparent(parent) }) };
  }

  #request(record: ContainerRecord): ConnectRequest {
    const { hostConfig: host } = record;
    const { servers, search, options } = this.facts.dns;
    const kind =
      host.NetworkMode === "host"
        ? "host"
        : host.NetworkMode === "none" || record.config.NetworkDisabled
          ? "none"
          : "private";
    return {
      containerId: record.id,
      sandboxKind: kind,
      names: namesOf(record),
      endpoints: this.#endpoints(record),
      ports: kind === "private" ? portRequests(record, this.facts.defaultPortIp) : [],
      dns: {
        servers: host.Dns.length > 0 ? host.Dns : servers,
        search: host.DnsSearch.length > 0 ? host.DnsSearch : search,
        options: host.DnsOptions.length > 0 ? host.DnsOptions : options,
      },
    };
  }

  #endpoints(record: ContainerRecord): EndpointRequest[] {
    return Object.entries(record.endpoints).map(([network, settings]) => this.#endpoint(network, settings));
  }

  #endpoint(network: string, settings: EndpointSettings): EndpointRequest {
    const { IPAMConfig: ipam } = settings;
    return {
      network,
      ...(settings.Aliases && { aliases: settings.Aliases }),
      ...(settings.Links?.length && { links: this.#links(settings.Links) }),
      ...(ipam?.IPv4Address && { ip: ipam.IPv4Address }),
      ...(ipam?.IPv6Address && { ip6: ipam.IPv6Address }),
      ...(settings.MacAddress !== "" && { mac: settings.MacAddress }),
      gwPriority: settings.GwPriority,
      ...(settings.DriverOpts && { driverOpts: settings.DriverOpts }),
    };
  }

  /** "container:alias", or one name for both. */
  #links(links: readonly string[]): Record<string, string> {
    return Object.fromEntries(
      links.map((link) => {
        const [reference = "", alias = reference] = link.split(":");
        return [alias, this.facts.lookUp(reference).id];
      }),
    );
  }
}

const namesOf = ({ name, config }: ContainerRecord) => ({
  name,
  hostname: config.Hostname,
  domainname: config.Domainname,
});

/** Of a container that lives in another's namespace: nothing of its own. */
const joined = (record: ContainerRecord): Sandbox => ({
  id: record.sandbox.id,
  key: "",
  endpoints: {},
  ports: {},
  sockets: [],
  resolvConf: undefined,
  hostGateway: [],
});

function sandboxOf(record: ContainerRecord, connected: Connected): Sandbox {
  return {
    id: record.id,
    key: connected.netnsPath,
    endpoints: Object.fromEntries(
      connected.endpoints.map((endpoint) => [endpoint.networkName, settingsOf(record, endpoint)]),
    ),
    ports: portMap(record, connected.ports),
    sockets: connected.dnsSockets,
    resolvConf: connected.resolvConf,
    hostGateway: connected.hostGateway,
  };
}

function settingsOf(record: ContainerRecord, endpoint: Endpoint): EndpointSettings {
  const asked = record.endpoints[endpoint.networkName];
  return {
    IPAMConfig: asked?.IPAMConfig ?? null,
    Links: asked?.Links ?? null,
    Aliases: asked?.Aliases ?? (endpoint.aliases.length > 0 ? endpoint.aliases : null),
    MacAddress: endpoint.mac,
    DriverOpts: asked?.DriverOpts ?? null,
    GwPriority: endpoint.gwPriority,
    NetworkID: endpoint.networkId,
    EndpointID: endpoint.endpointId,
    Gateway: endpoint.gateway,
    IPAddress: endpoint.ip,
    IPPrefixLen: endpoint.prefixLength,
    IPv6Gateway: endpoint.gateway6,
    GlobalIPv6Address: endpoint.ip6,
    GlobalIPv6PrefixLen: endpoint.prefixLength6,
    DNSNames: endpoint.dnsNames.length > 0 ? endpoint.dnsNames : null,
  };
}
