/** Addresses and prefixes as numbers, parsed once. Formatting of IPv6 follows RFC 5952. */
import { Buffer } from "node:buffer";
import ipaddr from "ipaddr.js";
import { HullError } from "../../platform/errors.ts";

export type Family = 4 | 6;

export interface Address {
  readonly family: Family;
  readonly value: bigint;
}

export interface Prefix {
  readonly family: Family;
  /** The network's first address. */
  readonly base: bigint;
  /** Prefix length. */
  readonly bits: number;
}

export const widthOf = (family: Family): number => (family === 4 ? 32 : 128);

/** Throws invalid-argument. Forms with leading zeros or fewer than four parts are refused. */
export function parseAddress(text: string): Address {
  const valid = ipaddr.IPv4.isValidFourPartDecimal(text) || ipaddr.IPv6.isValid(text);
  if (!valid || text.includes("%")) throw new HullError("invalid-argument", `invalid IP address: ${text}`);
  const parsed = ipaddr.parse(text);
  return addressOfBytes(Buffer.from(parsed.toByteArray()));
}

export const addressOfBytes = (bytes: Uint8Array): Address => ({
  family: bytes.length === 4 ? 4 : 6,
  value: BigInt(`0x${Buffer.from(bytes).toString("hex")}`),
});

export function addressBytes(address: Address): Buffer {
  return Buffer.from(address.value.toString(16).padStart(widthOf(address.family) / 4, "0"), "hex");
}

export function formatAddress(address: Address): string {
  return ipaddr.fromByteArray([...addressBytes(address)]).toString();
}

export const addressOf = (family: Family, value: bigint): Address => ({ family, value });

/** An address with its prefix: "172.17.0.1/16" keeps both. */
export interface InterfacePrefix {
  readonly address: Address;
  readonly prefix: Prefix;
}

export function parseInterfacePrefix(text: string): InterfacePrefix {
  const slash = text.lastIndexOf("/");
  const bits = Number(text.slice(slash + 1));
  if (slash < 0 || !/^\d{1,3}$/.test(text.slice(slash + 1))) throw invalid(text);
  const address = parseAddress(text.slice(0, slash));
  if (bits > widthOf(address.family)) throw invalid(text);
  return { address, prefix: prefixAround(address, bits) };
}

const invalid = (text: string): HullError => new HullError("invalid-argument", `invalid CIDR address: ${text}`);

export function prefixAround(address: Address, bits: number): Prefix {
  const host = BigInt(widthOf(address.family) - bits);
  return { family: address.family, base: (address.value >> host) << host, bits };
}

/** The prefix of "a.b.c.d/n", host bits cleared. Throws invalid-argument. */
export const parsePrefix = (text: string): Prefix => parseInterfacePrefix(text).prefix;

export const formatPrefix = (prefix: Prefix): string =>
  `${formatAddress({ family: prefix.family, value: prefix.base })}/${prefix.bits}`;

export const sizeOf = (prefix: Prefix): bigint => 1n << BigInt(widthOf(prefix.family) - prefix.bits);

export const lastOf = (prefix: Prefix): bigint => prefix.base + sizeOf(prefix) - 1n;

export function contains(prefix: Prefix, address: Address): boolean {
  return prefix.family === address.family && address.value >= prefix.base && address.value <= lastOf(prefix);
}

export function overlaps(a: Prefix, b: Prefix): boolean {
  return a.family === b.family && a.base <= lastOf(b) && b.base <= lastOf(a);
}
