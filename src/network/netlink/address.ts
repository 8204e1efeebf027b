/** rtnetlink(7) messages about addresses and routes. */
import { Buffer } from "node:buffer";
import { type Address, addressBytes, addressOfBytes, type Family } from "../ipam/prefix.ts";
import {
  be32,
  type DecodedMessage,
  decodeAttributes,
  type MessageInput,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  u32,
} from "./message.ts";

const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_GETADDR = 22;
const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_GETROUTE = 26;

const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_BROADCAST = 4;
const IFA_FLAGS = 8;
const IFA_F_NODAD = 2;

const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RT_TABLE_MAIN = 254;
const RTPROT_BOOT = 3;
const RT_SCOPE_UNIVERSE = 0;
const RT_SCOPE_LINK = 253;
const RTN_UNICAST = 1;

const AF_INET = 2;
const AF_INET6 = 10;
const afOf = (family: Family): number => (family === 4 ? AF_INET : AF_INET6);

export interface InterfaceAddress {
  readonly index: number;
  readonly address: Address;
  readonly prefixLength: number;
}

function ifaddrmsg(given: InterfaceAddress): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt8(afOf(given.address.family), 0);
  bytes.writeUInt8(given.prefixLength, 1);
  bytes.writeUInt32LE(given.index, 4);
  return bytes;
}

/** IPv6 without duplicate address detection: the address is ours, and waiting for it would delay the container. */
export function addAddress(given: InterfaceAddress): MessageInput {
  const bytes = addressBytes(given.address);
  const extra =
    given.address.family === 6
      ? [{ type: IFA_FLAGS, value: u32(IFA_F_NODAD) }]
      : [{ type: IFA_BROADCAST, value: broadcast(bytes, given.prefixLength) }];
  return {
    type: RTM_NEWADDR,
    flags: NLM_F_CREATE | NLM_F_REPLACE,
    header: ifaddrmsg(given),
    attributes: [{ type: IFA_LOCAL, value: bytes }, { type: IFA_ADDRESS, value: bytes }, ...extra],
  };
}

function broadcast(bytes: Buffer, prefixLength: number): Buffer {
  const mask = prefixLength === 0 ? 0 : (0xffffffff << (32 - prefixLength)) >>> 0;
  return be32((bytes.readUInt32BE(0) | ~mask) >>> 0);
}

export function deleteAddress(given: InterfaceAddress): MessageInput {
  const bytes = addressBytes(given.address);
  return { type: RTM_DELADDR, header: ifaddrmsg(given), attributes: [{ type: IFA_LOCAL, value: bytes }] };
}

export const listAddresses = (family: Family): MessageInput => ({
  type: RTM_GETADDR,
  flags: NLM_F_DUMP,
  plain: true,
  header: ifaddrmsg({ index: 0, address: { family, value: 0n }, prefixLength: 0 }),
});

export function decodeAddress(message: DecodedMessage): InterfaceAddress | undefined {
  if (message.type !== RTM_NEWADDR || message.payload.length < 8) return undefined;
  const attributes = decodeAttributes(message.payload, 8);
  const bytes = attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS);
  if (!bytes) return undefined;
  return {
    index: message.payload.readUInt32LE(4),
    address: addressOfBytes(bytes),
    prefixLength: message.payload.readUInt8(1),
  };
}

/** The notice that an address was taken from an interface. */
export function decodeLostAddress(message: DecodedMessage): { readonly index: number } | undefined {
  if (message.type !== RTM_DELADDR || message.payload.length < 8) return undefined;
  return { index: message.payload.readUInt32LE(4) };
}

const RTM_NEWNEIGH = 28;
const NDA_DST = 1;
const NDA_LLADDR = 2;
const NUD_STALE = 4;

/** What the host remembers of a neighbour's hardware address, if it remembers anything (else ENOENT), is this from now on. */
export function correctNeighbour(index: number, address: Address, mac: Buffer): MessageInput {
  const header = Buffer.alloc(12);
  header.writeUInt8(afOf(address.family), 0);
  header.writeInt32LE(index, 4);
  header.writeUInt16LE(NUD_STALE, 8);
  return {
    type: RTM_NEWNEIGH,
    flags: NLM_F_REPLACE,
    header,
    attributes: [
      { type: NDA_DST, value: addressBytes(address) },
      { type: NDA_LLADDR, value: mac },
    ],
  };
}

interface RouteHeader {
  readonly family: Family;
  readonly prefixLength: number;
  readonly scope: number;
}

function rtmsg(route: RouteHeader): Buffer {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt8(afOf(route.family), 0);
  bytes.writeUInt8(route.prefixLength, 1);
  bytes.writeUInt8(RT_TABLE_MAIN, 4);
  bytes.writeUInt8(RTPROT_BOOT, 5);
  bytes.writeUInt8(route.scope, 6);
  bytes.writeUInt8(RTN_UNICAST, 7);
  return bytes;
}

/** A default route by `gateway`. */
export const addDefaultRoute = (index: number, gateway: Address): MessageInput => ({
  type: RTM_NEWROUTE,
  flags: NLM_F_CREATE | NLM_F_EXCL,
  header: rtmsg({ family: gateway.family, prefixLength: 0, scope: RT_SCOPE_UNIVERSE }),
  attributes: [
    { type: RTA_GATEWAY, value: addressBytes(gateway) },
    { type: RTA_OIF, value: u32(index) },
  ],
});

export const deleteDefaultRoute = (index: number, gateway: Address): MessageInput => ({
  type: RTM_DELROUTE,
  header: rtmsg({ family: gateway.family, prefixLength: 0, scope: RT_SCOPE_UNIVERSE }),
  attributes: [
    { type: RTA_GATEWAY, value: addressBytes(gateway) },
    { type: RTA_OIF, value: u32(index) },
  ],
});

export const listRoutes = (family: Family): MessageInput => ({
  type: RTM_GETROUTE,
  flags: NLM_F_DUMP,
  plain: true,
  header: rtmsg({ family, prefixLength: 0, scope: 0 }),
});

export interface OnLinkRoute {
  readonly network: Address;
  readonly prefixLength: number;
  readonly index: number;
}

/** A route of the main table that leads to a directly attached network; undefined for every other. */
export function decodeOnLinkRoute(message: DecodedMessage): OnLinkRoute | undefined {
  if (message.type !== RTM_NEWROUTE || message.payload.length < 12) return undefined;
  const attributes = decodeAttributes(message.payload, 12);
  const destination = attributes.get(RTA_DST);
  const main = message.payload.readUInt8(4) === RT_TABLE_MAIN;
  const v6 = message.payload.readUInt8(0) === AF_INET6;
  const onLink = message.payload.readUInt8(6) === RT_SCOPE_LINK || (v6 && !attributes.has(RTA_GATEWAY));
  if (!destination || !main || !onLink) return undefined;
  return {
    network: addressOfBytes(destination),
    prefixLength: message.payload.readUInt8(1),
    index: attributes.get(RTA_OIF)?.readUInt32LE(0) ?? 0,
  };
}
