/** Which addresses and names a container's endpoints get. Pure but for random ids and MAC addresses. */
import { randomBytes } from "node:crypto";
import { HullError } from "../platform/errors.ts";
import type { EndpointRequest, Names } from "./api.ts";
import { type AddressSpace, chooseAddress, claimAddress } from "./ipam/addresses.ts";
import { type Address, type Family, formatAddress, parseAddress } from "./ipam/prefix.ts";
import { aliasNeedsUserNetwork, invalidEndpoint, staticNeedsSubnet, staticNeedsUserNetwork } from "./messages.ts";
import type { BridgeNetwork, EndpointRecord, Subnet } from "./record.ts";
import { FIRST_INDEX } from "./sandbox/interface-plan.ts";
import { newHostInterfaceName, newMac } from "./sandbox/pool.ts";

/** Addresses of one network that are spoken for. */
export interface AddressBook {
  /** For an endpoint of this container: what is reserved for it is not taken. */
  taken(network: BridgeNetwork, family: Family, containerId: string): ReadonlySet<bigint>;
  releasedAtMs(network: BridgeNetwork): ReadonlyMap<bigint, number>;
}

export interface EndpointContext {
  readonly network: BridgeNetwork;
  readonly request: EndpointRequest;
  readonly containerId: string;
  readonly names: Names;
  /** Interfaces the container has already. */
  readonly existing: readonly EndpointRecord[];
  readonly book: AddressBook;
  /** Taken with a ready namespace, whose pair it is. */
  readonly hostInterface?: string;
}

/** Throws invalid-argument for what this network cannot give. */
export function checkEndpoint(network: BridgeNetwork, request: EndpointRequest): void {
  const { name, userSubnet, predefined } = network.stored;
  if (!network.embeddedDns && (request.aliases?.length ?? 0) > 0) throw aliasNeedsUserNetwork(name);
  if (!request.ip && !request.ip6) return;
  if (predefined) throw staticNeedsUserNetwork(name);
  if (!userSubnet) throw staticNeedsSubnet(name);
}

export function chooseEndpoint(context: EndpointContext): EndpointRecord {
  const { network, request, existing } = context;
  checkEndpoint(network, request);
  if (request.mac && !/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(request.mac)) {
    throw new HullError("invalid-argument", `invalid MAC address: ${request.mac}`);
  }
  const v4 = addressFor(context, 4);
  const v6 = addressFor(context, 6);
  const index = lowestFree(FIRST_INDEX, (candidate) => existing.some((one) => one.index === candidate));
  return {
    networkId: network.stored.id,
    networkName: network.stored.name,
    endpointId: randomBytes(32).toString("hex"),
    ifName: interfaceName(context),
    index,
    hostInterface: context.hostInterface ?? newHostInterfaceName(),
    mac: request.mac?.toLowerCase() ?? newMac(),
    ip: v4.ip,
    prefixLength: v4.bits,
    gateway: v4.gateway,
    ip6: v6.ip,
    prefixLength6: v6.bits,
    gateway6: v6.gateway,
    dnsNames: network.embeddedDns ? dnsNames(context) : [],
    aliases: request.aliases ?? [],
    driverOpts: request.driverOpts ?? {},
    gwPriority: request.gwPriority ?? 0,
    isGateway: false,
    request,
  };
}

export interface Chosen {
  readonly ip: string;
  readonly bits: number;
  readonly gateway: string;
}

/** Address, prefix length and gateway of one family. Throws what claimAddress and chooseAddress throw. */
export function addressFor(
  context: Pick<EndpointContext, "network" | "request" | "book" | "containerId">,
  family: Family,
): Chosen {
  const { network, request, book } = context;
  const subnet: Subnet | undefined = family === 4 ? network.subnet4 : network.subnet6;
  if (!subnet) return { ip: "", bits: 0, gateway: "" };
  const space = {
    subnet: subnet.prefix,
    range: subnet.range,
    taken: book.taken(network, family, context.containerId),
    releasedAtMs: book.releasedAtMs(network),
    nowMs: Date.now(),
  };
  const asked = family === 4 ? request.ip : request.ip6;
  const address = asked ? claimed(network.stored.name, space, asked) : chooseAddress(space);
  const leadsOut = !network.stored.internal && network.mode !== "isolated";
  return {
    ip: formatAddress(address),
    bits: subnet.prefix.bits,
    gateway: leadsOut ? formatAddress(subnet.gateway) : "",
  };
}

/** What this network cannot give is the settings' fault; an address that is taken is nobody's. */
function claimed(network: string, space: AddressSpace, asked: string): Address {
  try {
    return claimAddress(space, parseAddress(asked));
  } catch (error) {
    if (!(error instanceof HullError && error.code === "invalid-argument")) throw error;
    throw invalidEndpoint(network, error.message.replace(/^invalid IP address/, "invalid IPv4 address"));
  }
}

function interfaceName(context: EndpointContext): string {
  const asked = context.request.driverOpts?.["com.docker.network.endpoint.ifname"];
  if (asked) {
    if (asked.length > 15 || !/^[^\s/:]+$/.test(asked)) {
      throw new HullError("invalid-argument", `invalid interface name "${asked}"`);
    }
    return asked;
  }
  const prefix = context.network.interfacePrefix;
  const number = lowestFree(0, (n) => context.existing.some((one) => one.ifName === `${prefix}${n}`));
  return `${prefix}${number}`;
}

function lowestFree(from: number, isTaken: (candidate: number) => boolean): number {
  let candidate = from;
  while (isTaken(candidate)) candidate++;
  return candidate;
}

/** Name, aliases, short id, host name: in this order, each once. */
export function dnsNames(context: Pick<EndpointContext, "names" | "request" | "containerId">): string[] {
  const { names, request, containerId } = context;
  const all = [names.name, ...(request.aliases ?? []), containerId.slice(0, 12), names.hostname];
  return [...new Set(all.filter((name) => name !== ""))];
}

/** Marks the endpoint whose default route is the container's: priority, then not internal, then both families, then the name. */
export function withGateway(endpoints: readonly EndpointRecord[]): EndpointRecord[] {
  const routes = (one: EndpointRecord): number => (one.gateway ? 1 : 0) + (one.gateway6 ? 1 : 0);
  const [best] = endpoints
    .filter((one) => routes(one) > 0)
    .sort((a, b) => b.gwPriority - a.gwPriority || routes(b) - routes(a) || (a.networkName < b.networkName ? -1 : 1));
  return endpoints.map((one) => ({ ...one, isGateway: one === best }));
}
