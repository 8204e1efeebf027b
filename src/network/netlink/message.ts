/**
 * Netlink messages (netlink(7)): encoding and decoding of headers and attributes, in the machine's byte order (little endian on
 * both architectures we run on). Pure; keel sends them (`netlink` operation).
 */
import { Buffer } from "node:buffer";
import { HullError } from "../../platform/errors.ts";

export const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;

export const NLM_F_REQUEST = 1;
export const NLM_F_ACK = 4;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;
export const NLM_F_DUMP = 0x300;

const NLA_F_NESTED = 0x8000;
const NLA_TYPE_MASK = 0x3fff;
const HEADER_BYTES = 16;

/** One attribute; a list is nested. */
export interface Attribute {
  readonly type: number;
  readonly value: Uint8Array | readonly Attribute[];
}

export interface MessageInput {
  readonly type: number;
  /** NLM_F_REQUEST and NLM_F_ACK are added unless `plain`. */
  readonly flags?: number;
  readonly plain?: boolean;
  /** The family's fixed header (ifinfomsg, ifaddrmsg, rtmsg, nfgenmsg). */
  readonly header: Uint8Array;
  readonly attributes?: readonly Attribute[];
}

export const u8 = (value: number): Buffer => Buffer.from([value]);
export function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
}
export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}
/** Network byte order, as nftables and ports want it. */
export function be16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}
export function be32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}
/** NUL-terminated text. */
export const text = (value: string): Buffer => Buffer.from(`${value}\0`);

const aligned = (length: number): number => (length + 3) & ~3;

export function encodeAttributes(attributes: readonly Attribute[]): Buffer {
  return Buffer.concat(attributes.map(encodeAttribute));
}

function encodeAttribute(attribute: Attribute): Buffer {
  const nested = !(attribute.value instanceof Uint8Array);
  const body = nested ? encodeAttributes(attribute.value as readonly Attribute[]) : (attribute.value as Uint8Array);
  const out = Buffer.alloc(aligned(4 + body.length));
  out.writeUInt16LE(4 + body.length, 0);
  out.writeUInt16LE(attribute.type | (nested ? NLA_F_NESTED : 0), 2);
  out.set(body, 4);
  return out;
}

/** Whole messages one after the other, numbered from 1. */
export function encodeMessages(messages: readonly MessageInput[]): Buffer {
  return Buffer.concat(messages.map((message, index) => encodeMessage(message, index + 1)));
}

function encodeMessage(message: MessageInput, sequence: number): Buffer {
  const attributes = encodeAttributes(message.attributes ?? []);
  const head = aligned(message.header.length);
  const out = Buffer.alloc(HEADER_BYTES + head + attributes.length);
  out.writeUInt32LE(out.length, 0);
  out.writeUInt16LE(message.type, 4);
  out.writeUInt16LE((message.flags ?? 0) | NLM_F_REQUEST | (message.plain ? 0 : NLM_F_ACK), 6);
  out.writeUInt32LE(sequence, 8);
  out.set(message.header, HEADER_BYTES);
  out.set(attributes, HEADER_BYTES + head);
  return out;
}

export interface DecodedMessage {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly portId: number;
  readonly payload: Buffer;
}

/** Splits what keel read from a netlink socket. Throws `internal` on a length that cannot be. */
export function decodeMessages(bytes: Buffer): DecodedMessage[] {
  const found: DecodedMessage[] = [];
  for (let at = 0; at + HEADER_BYTES <= bytes.length; ) {
    const length = bytes.readUInt32LE(at);
    if (length < HEADER_BYTES || at + length > bytes.length)
      throw new HullError("internal", `malformed netlink message`);
    found.push({
      type: bytes.readUInt16LE(at + 4),
      flags: bytes.readUInt16LE(at + 6),
      sequence: bytes.readUInt32LE(at + 8),
      portId: bytes.readUInt32LE(at + 12),
      payload: bytes.subarray(at + HEADER_BYTES, at + length),
    });
    at += aligned(length);
  }
  return found;
}

/** Attributes by type (the last wins); `offset` is the length of the family's fixed header. */
export function decodeAttributes(payload: Buffer, offset = 0): Map<number, Buffer> {
  const found = new Map<number, Buffer>();
  for (let at = aligned(offset); at + 4 <= payload.length; ) {
    const length = payload.readUInt16LE(at);
    if (length < 4 || at + length > payload.length) break;
    found.set(payload.readUInt16LE(at + 2) & NLA_TYPE_MASK, payload.subarray(at + 4, at + length));
    at += aligned(length);
  }
  return found;
}

/** The text of a NUL-terminated attribute. */
export function attributeText(value: Buffer | undefined): string {
  if (!value) return "";
  const end = value.indexOf(0);
  return value.toString("utf8", 0, end < 0 ? value.length : end);
}
