/**
 * Which address an endpoint gets: the lowest free one of the range, except those given back a moment ago (a dying
 * namespace still answers ARP for tens of milliseconds, and peers remember the old MAC). Pure.
 */
import { HullError } from "../../platform/errors.ts";
import { type Address, contains, formatAddress, formatPrefix, lastOf, type Prefix } from "./prefix.ts";

export const COOL_DOWN_MS = 2000;

export interface AddressSpace {
  readonly subnet: Prefix;
  /** Where dynamic addresses come from; the subnet by default. */
  readonly range: Prefix;
  /** In use or reserved: gateway, auxiliary addresses, endpoints, reservations of stopped containers. */
  readonly taken: ReadonlySet<bigint>;
  /** When an address was given back, epoch milliseconds. */
  readonly releasedAtMs: ReadonlyMap<bigint, number>;
  readonly nowMs: number;
}

/** Not for use: the network and broadcast address (not in a /31), the subnet-router anycast address of IPv6. */
export function isUnusable(subnet: Prefix, value: bigint): boolean {
  if (subnet.family === 6) return subnet.bits < 127 && value === subnet.base;
  return subnet.bits < 31 && (value === subnet.base || value === lastOf(subnet));
}

/** Throws resource-exhausted when the range is full. */
export function chooseAddress(space: AddressSpace): Address {
  const { subnet, range, taken, releasedAtMs } = space;
  let oldest: { readonly value: bigint; readonly at: number } | undefined;
  for (let value = range.base; value <= lastOf(range); value++) {
    if (taken.has(value) || isUnusable(subnet, value)) continue;
    const at = releasedAtMs.get(value);
    if (at === undefined || space.nowMs - at >= COOL_DOWN_MS) return { family: subnet.family, value };
    if (!oldest || at < oldest.at) oldest = { value, at };
  }
  if (oldest) return { family: subnet.family, value: oldest.value };
  throw new HullError(
    "resource-exhausted",
    `no available IPv${subnet.family} addresses on this network's address pools`,
    {
      facts: { subnet: formatPrefix(subnet) },
    },
  );
}

/** Checks an address asked for by name. Throws invalid-argument (outside) or conflict (`Address already in use`). */
export function claimAddress(space: AddressSpace, address: Address): Address {
  if (!contains(space.subnet, address) || isUnusable(space.subnet, address.value)) {
    throw new HullError("invalid-argument", `no configured subnet contains IP address ${formatAddress(address)}`);
  }
  if (space.taken.has(address.value)) throw new HullError("conflict", "Address already in use");
  return address;
}
