/** The kernel operations that give a container its namespace and interfaces. Pure: plans are built here, keel runs them. */
import { type Operation, operation } from "../../keel/plan.ts";
import { parseAddress } from "../ipam/prefix.ts";
import { addAddress, addDefaultRoute, deleteDefaultRoute } from "../netlink/address.ts";
import { type BridgePort, changeBridgePort, changeLink, createVeth, type VethPair } from "../netlink/link.ts";
import { encodeMessages, type MessageInput, NETLINK_NETFILTER, NETLINK_ROUTE } from "../netlink/message.ts";
import { redirectLocalDns } from "../netlink/nftables.ts";
import type { BridgeNetwork, EndpointRecord } from "../record.ts";

export const CLONE_NEWNET = 0x40000000;
export const DNS_ADDRESS = "127.0.0.11";
const MS_BIND = 4096;
const MNT_DETACH = 2;
const O_RDONLY = 0;
const O_WRONLY_CREAT = 0x41;
const NAMESPACE_SLOT = 0;
const LOOPBACK_INDEX = 1;

/** First index of interfaces in a namespace of ours (lo is 1). */
export const FIRST_INDEX = 2;

export const netlink = (messages: readonly MessageInput[], cause: string): Operation =>
  operation("netlink", { protocol: NETLINK_ROUTE, messages: encodeMessages(messages) }, { cause });

/** A new namespace, bound at `path`; the operations after these run inside it. */
export function planNamespace(path: string): Operation[] {
  return [
    operation("writeFile", { flags: O_WRONLY_CREAT, mode: 0o444, path }, { cause: "network namespace" }),
    operation("unshare", { flags: CLONE_NEWNET }, { cause: "network namespace" }),
    operation("mount", { flags: MS_BIND, source: "/proc/self/ns/net", target: path }, { cause: "network namespace" }),
    // Interfaces made from now on have no IPv6 unless their network has; the loopback keeps ::1.
    operation(
      "sysctl",
      { name: "net/ipv6/conf/default/disable_ipv6", value: "1" },
      { tolerate: ["ENOENT", "EROFS", "EACCES", "EPERM"], cause: "network namespace" },
    ),
    netlink([changeLink({ index: LOOPBACK_INDEX }, { up: true })], "loopback"),
  ];
}

export const planVeth = (pair: VethPair): Operation => netlink([createVeth(pair)], `interface ${pair.name}`);

/** The operations after these run inside the namespace at `path`. */
export function planEnter(path: string): Operation[] {
  return [
    operation("open", { slot: NAMESPACE_SLOT, flags: O_RDONLY, path }, { cause: "network namespace" }),
    operation("setns", { slot: NAMESPACE_SLOT, nstype: CLONE_NEWNET }, { cause: "network namespace", subject: path }),
    operation("close", { slot: NAMESPACE_SLOT }),
  ];
}

/** What a host's end on a bridge needs besides being there. */
export function portSettings(network: BridgeNetwork, publishes: boolean): BridgePort {
  // A container that reaches itself by the host's address: the packet leaves by the port it came in.
  return { ...(publishes ? { hairpin: true } : {}), ...(network.icc ? {} : { isolated: true }) };
}

/** In the host's namespace: the host's end goes up, on the bridge. */
export function planHostEnd(end: HostEnd): Operation {
  const { endpoint, network, bridgeIndex } = end;
  const name = endpoint.hostInterface;
  const port = portSettings(network, end.publishes);
  const messages = [changeLink({ name }, { master: bridgeIndex, mtu: network.mtu, up: true })];
  if (Object.keys(port).length > 0) messages.push(changeBridgePort(name, port));
  return netlink(messages, `network ${network.stored.name}`);
}

export interface HostEnd {
  readonly endpoint: EndpointRecord;
  readonly network: BridgeNetwork;
  readonly bridgeIndex: number;
  /** The container has published ports. */
  readonly publishes: boolean;
}

/** Inside the container's namespace. */
export function planContainerEnd(endpoint: EndpointRecord, network: BridgeNetwork): Operation[] {
  const { index } = endpoint;
  const messages: MessageInput[] = [
    changeLink({ index }, { mac: endpoint.mac, mtu: network.mtu, rename: endpoint.ifName }),
    changeLink({ index }, { up: true }),
  ];
  if (endpoint.ip) {
    messages.push(addAddress({ index, address: parseAddress(endpoint.ip), prefixLength: endpoint.prefixLength }));
  }
  if (endpoint.ip6) {
    messages.push(addAddress({ index, address: parseAddress(endpoint.ip6), prefixLength: endpoint.prefixLength6 }));
  }
  const cause = `network ${network.stored.name}`;
  const set = (name: string, value: string): Operation =>
    operation("sysctl", { name: `net/ipv6/conf/${endpoint.ifName}/${name}`, value }, { tolerate: ["ENOENT"], cause });
  // Looking for duplicates takes a second or two in which the container reaches nobody.
  const v6 = endpoint.ip6 ? [set("accept_dad", "0"), set("disable_ipv6", "0")] : [];
  return v6.length === 0
    ? [netlink(messages, cause)]
    : [netlink(messages.slice(0, 1), cause), ...v6, netlink(messages.slice(1), cause)];
}

export function planDefaultRoutes(endpoint: EndpointRecord, how: "add" | "delete"): Operation[] {
  const messages = [endpoint.gateway, endpoint.gateway6]
    .filter((gateway) => gateway !== "")
    .map((gateway) => (how === "add" ? addDefaultRoute : deleteDefaultRoute)(endpoint.index, parseAddress(gateway)));
  if (messages.length === 0) return [];
  return [
    operation(
      "netlink",
      { protocol: NETLINK_ROUTE, messages: encodeMessages(messages) },
      { cause: `default route by ${endpoint.networkName}`, tolerate: how === "add" ? ["EEXIST"] : ["ESRCH"] },
    ),
  ];
}

/** Inside the namespace: queries to 127.0.0.11:53 go to the sockets that pause holds. */
export function planDnsRedirect(port: number): Operation {
  const address = Buffer.from(DNS_ADDRESS.split(".").map(Number));
  const messages = redirectLocalDns({ address, port: 53, udpPort: port, tcpPort: port });
  return operation(
    "netlink",
    { protocol: NETLINK_NETFILTER, messages: encodeMessages(messages) },
    { cause: "DNS redirection", subject: DNS_ADDRESS },
  );
}

/** A second name for the namespace; the first may go then. Runs in the host's mount namespace, whatever its network namespace. */
export function planBind(from: string, to: string): Operation[] {
  return [
    operation("writeFile", { flags: O_WRONLY_CREAT, mode: 0o444, path: to }, { cause: "network namespace" }),
    operation("mount", { flags: MS_BIND, source: from, target: to }, { cause: "network namespace" }),
  ];
}

export function planUnbind(path: string): Operation[] {
  return [
    operation("umount", { flags: MNT_DETACH, target: path }, { tolerate: ["EINVAL", "ENOENT"] }),
    operation("unlink", { path }, { tolerate: ["ENOENT"] }),
  ];
}
