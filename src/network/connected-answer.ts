/** A sandbox's record in the form of the API. */
import type { Connected, DnsSocket, Endpoint } from "./api.ts";
import { containerResolvConf } from "./dns/resolv-conf.ts";
import { readFollowed, readHostResolv } from "./host-resolv.ts";
import { formatAddress } from "./ipam/prefix.ts";
import type { Netd } from "./netd.ts";
import { publishedOf } from "./ports/published-ports.ts";
import type { EndpointRecord, SandboxRecord } from "./record.ts";
import { DNS_ADDRESS } from "./sandbox/interface-plan.ts";

export function connectedAnswer(netd: Netd, record: SandboxRecord): Connected {
  return {
    containerId: record.containerId,
    netnsPath: record.netnsPath,
    endpoints: record.endpoints.map(endpointOf),
    ports: record.ports.map(publishedOf),
    dnsSockets: dnsSockets(record),
    resolvConf: resolvConf(netd, record),
    hostGateway: hostGateway(netd),
  };
}

function endpointOf(record: EndpointRecord): Endpoint {
  const { hostInterface: _, index: __, request: ___, ...endpoint } = record;
  return endpoint;
}

const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;

/** Held also where no queries are led there yet: the container may be connected to a user-defined network later. */
function dnsSockets(record: SandboxRecord): DnsSocket[] {
  if (record.dnsPort === 0) return [];
  const address = `${DNS_ADDRESS}:${record.dnsPort}`;
  return [
    { name: "dns-udp", family: 2, type: SOCK_DGRAM, address },
    { name: "dns-tcp", family: 2, type: SOCK_STREAM, address },
  ];
}

function resolvConf(netd: Netd, record: SandboxRecord): string {
  const host = record.request.sandboxKind === "host";
  return containerResolvConf({
    host: host ? readHostResolv() : readFollowed(),
    request: record.request.dns,
    defaults: netd.settings.dns,
    kind: host ? "host" : record.dnsRedirected ? "embedded" : "host-like",
  });
}

function hostGateway(netd: Netd): readonly string[] {
  if (netd.settings.hostGatewayIps.length > 0) return netd.settings.hostGatewayIps;
  const bridge = netd.networks.defaultBridge;
  return [bridge?.subnet4, bridge?.subnet6].flatMap((subnet) => (subnet ? [formatAddress(subnet.gateway)] : []));
}
