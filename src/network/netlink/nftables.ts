/** nfnetlink messages for nftables: just what the DNS rules of a container's namespace and the watch over the host's rules need. */
import { Buffer } from "node:buffer";
import {
  type Attribute,
  attributeText,
  be16,
  be32,
  type DecodedMessage,
  decodeAttributes,
  type MessageInput,
  NLM_F_APPEND,
  NLM_F_CREATE,
  text,
  u8,
} from "./message.ts";

const SUBSYSTEM = 10;
const NFT_MSG_NEWTABLE = 0;
const NFT_MSG_NEWCHAIN = 3;
const NFT_MSG_NEWRULE = 6;
const NFT_MSG_NEWGEN = 15;
const BATCH_BEGIN = 16;
const BATCH_END = 17;
const AF_UNSPEC = 0;
const NFPROTO_IPV4 = 2;

const NF_INET_LOCAL_OUT = 3;
const PRIORITY_DNAT = -100;

/** Bit of NFNLGRP_NFTABLES (7) in a bind mask. */
export const NFTABLES_GROUP_MASK = 1 << 6;

const nfgenmsg = (family: number, resource = 0): Buffer => Buffer.concat([u8(family), u8(0), be16(resource)]);

const message = (type: number, flags: number, attributes: readonly Attribute[]): MessageInput => ({
  type: (SUBSYSTEM << 8) | type,
  flags,
  header: nfgenmsg(NFPROTO_IPV4),
  attributes,
});

const batch = (type: number): MessageInput => ({ type, plain: true, header: nfgenmsg(AF_UNSPEC, SUBSYSTEM) });

function expression(name: string, data: readonly Attribute[]): Attribute {
  return {
    type: 1,
    value: [
      { type: 1, value: text(name) },
      { type: 2, value: data },
    ],
  };
}

const REGISTER_1 = 1;
const REGISTER_2 = 2;
const META_L4PROTO = 16;
const BASE_NETWORK = 1;
const BASE_TRANSPORT = 2;
const NAT_DNAT = 1;

const compare = (value: Buffer): Attribute =>
  expression("cmp", [
    { type: 1, value: be32(REGISTER_1) },
    { type: 2, value: be32(0) },
    { type: 3, value: [{ type: 1, value }] },
  ]);

const payload = (base: number, offset: number, length: number): Attribute =>
  expression("payload", [
    { type: 1, value: be32(REGISTER_1) },
    { type: 2, value: be32(base) },
    { type: 3, value: be32(offset) },
    { type: 4, value: be32(length) },
  ]);

const load = (register: number, value: Buffer): Attribute =>
  expression("immediate", [
    { type: 1, value: be32(register) },
    { type: 2, value: [{ type: 1, value }] },
  ]);

const protocol = (): Attribute =>
  expression("meta", [
    { type: 2, value: be32(META_L4PROTO) },
    { type: 1, value: be32(REGISTER_1) },
  ]);

const dnat = (): Attribute =>
  expression("nat", [
    { type: 1, value: be32(NAT_DNAT) },
    { type: 2, value: be32(NFPROTO_IPV4) },
    { type: 3, value: be32(REGISTER_1) },
    { type: 5, value: be32(REGISTER_2) },
  ]);

const IPPROTO_TCP = 6;
const IPPROTO_UDP = 17;

export interface Redirect {
  /** Four bytes. */
  readonly address: Buffer;
  readonly port: number;
  /** Where the sockets really listen on that address. */
  readonly udpPort: number;
  readonly tcpPort: number;
}

const TABLE = "hull-dns";
const CHAIN = "output";

/** One batch for the container's namespace: what its processes send to address:port goes to the high ports. */
export function redirectLocalDns(redirect: Redirect): MessageInput[] {
  const chain: Attribute[] = [
    { type: 1, value: text(TABLE) },
    { type: 3, value: text(CHAIN) },
    {
      type: 4,
      value: [
        { type: 1, value: be32(NF_INET_LOCAL_OUT) },
        { type: 2, value: be32(PRIORITY_DNAT) },
      ],
    },
    { type: 7, value: text("nat") },
  ];
  return [
    batch(BATCH_BEGIN),
    message(NFT_MSG_NEWTABLE, NLM_F_CREATE, [{ type: 1, value: text(TABLE) }]),
    message(NFT_MSG_NEWCHAIN, NLM_F_CREATE, chain),
    redirectRule(redirect, IPPROTO_UDP, redirect.udpPort),
    redirectRule(redirect, IPPROTO_TCP, redirect.tcpPort),
    batch(BATCH_END),
  ];
}

function redirectRule(redirect: Redirect, l4: number, to: number): MessageInput {
  const expressions = [
    payload(BASE_NETWORK, 16, 4),
    compare(redirect.address),
    protocol(),
    compare(u8(l4)),
    payload(BASE_TRANSPORT, 2, 2),
    compare(be16(redirect.port)),
    load(REGISTER_1, redirect.address),
    load(REGISTER_2, be16(to)),
    dnat(),
  ];
  return message(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, [
    { type: 1, value: text(TABLE) },
    { type: 2, value: text(CHAIN) },
    { type: 4, value: expressions },
  ]);
}

export interface Generation {
  readonly id: number;
  /** comm of the process that changed the rules. */
  readonly process: string;
}

/** The notice of one committed change of the host's rules. */
export function decodeGeneration(notice: DecodedMessage): Generation | undefined {
  if (notice.type !== ((SUBSYSTEM << 8) | NFT_MSG_NEWGEN)) return undefined;
  const attributes = decodeAttributes(notice.payload, 4);
  return { id: attributes.get(1)?.readUInt32BE(0) ?? 0, process: attributeText(attributes.get(3)) };
}
