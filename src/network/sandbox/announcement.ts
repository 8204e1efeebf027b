/**
 * Tells the neighbours whose hardware address a container's addresses have now. An address is used again by the next container, with
 * another hardware address; who remembers the one before would talk to nobody for up to a minute. Pure: frames and plans.
 */
import { Buffer } from "node:buffer";
import { type Operation, operation } from "../../keel/plan.ts";
import { addressBytes, parseAddress } from "../ipam/prefix.ts";
import { correctNeighbour } from "../netlink/address.ts";
import { macBytes } from "../netlink/link.ts";
import { encodeMessages, NETLINK_ROUTE } from "../netlink/message.ts";
import type { HostEnd } from "./interface-plan.ts";

const PACKET_SLOT = 2;
const EVERYBODY = Buffer.alloc(6, 0xff);
const ETHERTYPE_ARP = 0x0806;
const ETHERTYPE_IPV6 = 0x86dd;

function ethernet(to: Buffer, mac: Buffer, type: number): Buffer {
  const head = Buffer.alloc(14);
  to.copy(head, 0);
  mac.copy(head, 6);
  head.writeUInt16BE(type, 12);
  return head;
}

/** RFC 5227, section 3: a request for the own address. */
export function arpAnnouncement(mac: Buffer, ip: Buffer): Buffer {
  const fixed = Buffer.from([0, 1, 8, 0, 6, 4, 0, 1]); // Ethernet, IPv4, request
  return Buffer.concat([ethernet(EVERYBODY, mac, ETHERTYPE_ARP), fixed, mac, ip, Buffer.alloc(6), ip]);
}

const ALL_NODES = addressBytes(parseAddress("ff02::1"));
const ALL_NODES_MAC = Buffer.from("333300000001", "hex");
const NEIGHBOUR_ADVERTISEMENT = 136;
const ICMPV6 = 58;
const OVERRIDE = 0x20;
const TARGET_LINK_LAYER = Buffer.from([2, 1]);

/** RFC 4861, section 7.2.6: an advertisement that nobody asked for, to all nodes. */
export function neighbourAdvertisement(mac: Buffer, ip: Buffer): Buffer {
  const flags = Buffer.from([NEIGHBOUR_ADVERTISEMENT, 0, 0, 0, OVERRIDE, 0, 0, 0]);
  const message = Buffer.concat([flags, ip, TARGET_LINK_LAYER, mac]);
  const pseudo = Buffer.concat([ip, ALL_NODES, Buffer.from([0, 0, 0, message.length, 0, 0, 0, ICMPV6])]);
  message.writeUInt16BE(checksum(Buffer.concat([pseudo, message])), 2);
  const head = Buffer.from([0x60, 0, 0, 0, 0, message.length, ICMPV6, 255]);
  return Buffer.concat([ethernet(ALL_NODES_MAC, mac, ETHERTYPE_IPV6), head, ip, ALL_NODES, message]);
}

/** RFC 1071, of an even number of bytes. */
function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/**
 * In the host's namespace, once the host's end is on the bridge: by the bridge's own interface, so that it does not matter whether the new
 * port carries anything yet. The host hears nothing of what it sends itself: its own memory is put right.
 */
export function planAnnouncement({ endpoint, network, bridgeIndex }: HostEnd): Operation[] {
  const mac = macBytes(endpoint.mac);
  const addresses = [endpoint.ip, endpoint.ip6].filter((text) => text !== "").map(parseAddress);
  const cause = `network ${network.stored.name}`;
  const messages = addresses.map((address) => correctNeighbour(bridgeIndex, address, mac));
  const frames = addresses.map((address) =>
    (address.family === 4 ? arpAnnouncement : neighbourAdvertisement)(mac, addressBytes(address)),
  );
  if (addresses.length === 0) return [];
  return [
    operation(
      "netlink",
      { protocol: NETLINK_ROUTE, messages: encodeMessages(messages) },
      { tolerate: ["ENOENT"], cause, subject: "the host's memory of its neighbours" },
    ),
    ...frames.map((frame) =>
      operation(
        "sendFrame",
        { slot: PACKET_SLOT, index: bridgeIndex, frame },
        // A bridge that somebody lowers this moment, a host that gives no CAP_NET_RAW: what they remember grows old.
        { tolerate: ["ENETDOWN", "ENXIO", "ENODEV", "EPERM"], cause, subject: "announcement" },
      ),
    ),
  ];
}
