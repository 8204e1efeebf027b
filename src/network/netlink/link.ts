/** rtnetlink(7) messages about interfaces: bridges, veth pairs, their state. */
import { Buffer } from "node:buffer";
import {
  type Attribute,
  attributeText,
  type DecodedMessage,
  decodeAttributes,
  type MessageInput,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  text,
  u8,
  u32,
} from "./message.ts";

export const RTM_NEWLINK = 16;
export const RTM_DELLINK = 17;
const RTM_GETLINK = 18;

const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_MASTER = 10;
const IFLA_LINKINFO = 18;
const IFLA_NET_NS_PID = 19;
const IFLA_IFALIAS = 20;
const IFLA_GROUP = 27;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const IFLA_INFO_SLAVE_KIND = 4;
const IFLA_INFO_SLAVE_DATA = 5;
const VETH_INFO_PEER = 1;
const IFLA_BRPORT_MODE = 4;
const IFLA_BRPORT_ISOLATED = 33;

const AF_UNSPEC = 0;
const IFF_UP = 1;
const IFINFOMSG_BYTES = 16;

interface LinkHeader {
  readonly family?: number;
  readonly index?: number;
  readonly flags?: number;
  readonly change?: number;
}

function ifinfomsg(header: LinkHeader): Buffer {
  const bytes = Buffer.alloc(IFINFOMSG_BYTES);
  bytes.writeUInt8(header.family ?? AF_UNSPEC, 0);
  bytes.writeInt32LE(header.index ?? 0, 4);
  bytes.writeUInt32LE(header.flags ?? 0, 8);
  bytes.writeUInt32LE(header.change ?? 0, 12);
  return bytes;
}

export const macBytes = (mac: string): Buffer => Buffer.from(mac.replaceAll(":", ""), "hex");

export interface BridgeLink {
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
  readonly group: number;
}

export function createBridge(bridge: BridgeLink): MessageInput {
  return {
    type: RTM_NEWLINK,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    header: ifinfomsg({}),
    attributes: [
      { type: IFLA_IFNAME, value: text(bridge.name) },
      { type: IFLA_ADDRESS, value: macBytes(bridge.mac) },
      { type: IFLA_MTU, value: u32(bridge.mtu) },
      { type: IFLA_GROUP, value: u32(bridge.group) },
      { type: IFLA_LINKINFO, value: [{ type: IFLA_INFO_KIND, value: text("bridge") }] },
    ],
  };
}

export interface VethPair {
  /** The end in the namespace where the message is sent: name, index and address. */
  readonly name: string;
  readonly index: number;
  readonly mac: string;
  readonly mtu: number;
  /** The other end goes to the network namespace of this process. */
  readonly peerName: string;
  readonly peerNamespacePid: number;
  readonly peerGroup: number;
}

/**
 * Sent inside the container's namespace. Both ends are created down: a peer that is created up makes the kernel refuse the
 * pair with ENOTCONN.
 */
export function createVeth(pair: VethPair): MessageInput {
  const peer = encodePeer([
    { type: IFLA_IFNAME, value: text(pair.peerName) },
    { type: IFLA_MTU, value: u32(pair.mtu) },
    { type: IFLA_NET_NS_PID, value: u32(pair.peerNamespacePid) },
    { type: IFLA_GROUP, value: u32(pair.peerGroup) },
  ]);
  return {
    type: RTM_NEWLINK,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    header: ifinfomsg({ index: pair.index }),
    attributes: [
      { type: IFLA_IFNAME, value: text(pair.name) },
      { type: IFLA_ADDRESS, value: macBytes(pair.mac) },
      { type: IFLA_MTU, value: u32(pair.mtu) },
      {
        type: IFLA_LINKINFO,
        value: [
          { type: IFLA_INFO_KIND, value: text("veth") },
          { type: IFLA_INFO_DATA, value: [{ type: VETH_INFO_PEER, value: peer }] },
        ],
      },
    ],
  };
}

/** VETH_INFO_PEER is an ifinfomsg followed by attributes. */
function encodePeer(attributes: readonly Attribute[]): Buffer {
  const flat = attributes.map(({ type, value }) => {
    const body = value as Uint8Array;
    const out = Buffer.alloc((4 + body.length + 3) & ~3);
    out.writeUInt16LE(4 + body.length, 0);
    out.writeUInt16LE(type, 2);
    out.set(body, 4);
    return out;
  });
  return Buffer.concat([ifinfomsg({}), ...flat]);
}

export type LinkName = { readonly name: string } | { readonly index: number };

export interface LinkChange {
  readonly up?: boolean;
  readonly mac?: string;
  readonly mtu?: number;
  readonly group?: number;
  /** Index of the bridge; 0 takes it off. */
  readonly master?: number;
  readonly rename?: string;
  /** Empty: it loses what it had. */
  readonly alias?: string;
}

export function changeLink(link: LinkName, change: LinkChange): MessageInput {
  const attributes: Attribute[] = [];
  const byName = "name" in link;
  if (byName) attributes.push({ type: IFLA_IFNAME, value: text(link.name) });
  else if (change.rename !== undefined) attributes.push({ type: IFLA_IFNAME, value: text(change.rename) });
  if (change.mac !== undefined) attributes.push({ type: IFLA_ADDRESS, value: macBytes(change.mac) });
  if (change.mtu !== undefined) attributes.push({ type: IFLA_MTU, value: u32(change.mtu) });
  if (change.group !== undefined) attributes.push({ type: IFLA_GROUP, value: u32(change.group) });
  if (change.alias !== undefined) attributes.push({ type: IFLA_IFALIAS, value: Buffer.from(change.alias) });
  if (change.master !== undefined) attributes.push({ type: IFLA_MASTER, value: u32(change.master) });
  const state = change.up === undefined ? {} : { flags: change.up ? IFF_UP : 0, change: IFF_UP };
  return { type: RTM_NEWLINK, header: ifinfomsg({ ...(byName ? {} : link), ...state }), attributes };
}

export interface BridgePort {
  /** A packet may leave by the port it came in. */
  readonly hairpin?: boolean;
  /** The port reaches only ports that are not isolated (the bridge itself). */
  readonly isolated?: boolean;
}

/** Of an interface that is on a bridge already. By name, so that nobody has to look its index up. */
export function changeBridgePort(name: string, port: BridgePort): MessageInput {
  const flags: Attribute[] = [];
  if (port.hairpin !== undefined) flags.push({ type: IFLA_BRPORT_MODE, value: u8(port.hairpin ? 1 : 0) });
  if (port.isolated !== undefined) flags.push({ type: IFLA_BRPORT_ISOLATED, value: u8(port.isolated ? 1 : 0) });
  return {
    type: RTM_NEWLINK,
    header: ifinfomsg({}),
    attributes: [
      { type: IFLA_IFNAME, value: text(name) },
      {
        type: IFLA_LINKINFO,
        value: [
          { type: IFLA_INFO_SLAVE_KIND, value: text("bridge") },
          { type: IFLA_INFO_SLAVE_DATA, value: flags },
        ],
      },
    ],
  };
}

export const deleteLink = (name: string): MessageInput => ({
  type: RTM_DELLINK,
  header: ifinfomsg({}),
  attributes: [{ type: IFLA_IFNAME, value: text(name) }],
});

/** Every interface of the group goes, in one wait of the kernel. */
export const deleteLinkGroup = (group: number): MessageInput => ({
  type: RTM_DELLINK,
  header: ifinfomsg({}),
  attributes: [{ type: IFLA_GROUP, value: u32(group) }],
});

export const listLinks = (): MessageInput => ({
  type: RTM_GETLINK,
  flags: NLM_F_DUMP,
  plain: true,
  header: ifinfomsg({}),
});

export interface Link {
  readonly index: number;
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
  readonly up: boolean;
  /** 0: none. */
  readonly master: number;
  readonly group: number;
  readonly kind: string;
  readonly alias: string;
}

/** The interface of an RTM_NEWLINK or RTM_DELLINK; undefined for other messages and for bridge port notices. */
export function decodeLink(message: DecodedMessage): Link | undefined {
  if (message.type !== RTM_NEWLINK && message.type !== RTM_DELLINK) return undefined;
  if (message.payload.length < IFINFOMSG_BYTES || message.payload.readUInt8(0) !== AF_UNSPEC) return undefined;
  const attributes = decodeAttributes(message.payload, IFINFOMSG_BYTES);
  const number = (type: number): number => attributes.get(type)?.readUInt32LE(0) ?? 0;
  const info = attributes.get(IFLA_LINKINFO);
  return {
    index: message.payload.readInt32LE(4),
    name: attributeText(attributes.get(IFLA_IFNAME)),
    mac: (attributes.get(IFLA_ADDRESS)?.toString("hex") ?? "").replace(/(..)(?=.)/g, "$1:"),
    mtu: number(IFLA_MTU),
    up: (message.payload.readUInt32LE(8) & IFF_UP) !== 0,
    master: number(IFLA_MASTER),
    group: number(IFLA_GROUP),
    kind: info ? attributeText(decodeAttributes(info).get(IFLA_INFO_KIND)) : "",
    alias: attributeText(attributes.get(IFLA_IFALIAS)),
  };
}
