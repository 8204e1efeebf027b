/** Which prefix a network gets when none is asked for. Pure. */
import { HullError } from "../../platform/errors.ts";
import { lastOf, overlaps, type Prefix, parsePrefix, sizeOf, widthOf } from "./prefix.ts";

/** `size` is the prefix length of the networks cut out of `base`. */
export interface AddressPool {
  readonly base: Prefix;
  readonly size: number;
}

/** Docker's local default: 172.17 to 172.31 as /16, 192.168.0.0/16 as /20. */
export const defaultPools: readonly AddressPool[] = [
  ...Array.from({ length: 15 }, (_, i) => ({ base: parsePrefix(`172.${17 + i}.0.0/16`), size: 16 })),
  { base: parsePrefix("192.168.0.0/16"), size: 20 },
];

/**
 * The first free prefix. When every one of the configured size is taken, /24s from the same pools serve (31 big networks are
 * quickly used up). Throws resource-exhausted in Docker's words.
 */
export function choosePool(pools: readonly AddressPool[], taken: readonly Prefix[]): Prefix {
  const found = firstFree(pools, taken) ?? firstFree(pools.map(smaller), taken);
  if (found) return found;
  throw new HullError(
    "resource-exhausted",
    "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network",
  );
}

const SMALL_BITS = 24;

const smaller = (pool: AddressPool): AddressPool =>
  pool.base.family === 4 && pool.size < SMALL_BITS ? { ...pool, size: SMALL_BITS } : pool;

function firstFree(pools: readonly AddressPool[], taken: readonly Prefix[]): Prefix | undefined {
  for (const pool of pools) {
    const step = 1n << BigInt(widthOf(pool.base.family) - pool.size);
    for (let base = pool.base.base; base < pool.base.base + sizeOf(pool.base); ) {
      const candidate: Prefix = { family: pool.base.family, base, bits: pool.size };
      const clash = taken.find((prefix) => overlaps(prefix, candidate));
      if (!clash) return candidate;
      // Past the clash, on the next boundary: a big clash costs one step.
      const after = lastOf(clash) + 1n;
      base = after > base + step ? pool.base.base + ((after - pool.base.base + step - 1n) / step) * step : base + step;
    }
  }
  return undefined;
}

/** Parses `base=10.0.0.0/8,size=24`, the form of --default-address-pool. Throws invalid-argument. */
export function parsePool(text: string): AddressPool {
  const fields = new Map(text.split(",").map((part) => part.split("=", 2) as [string, string]));
  const size = Number(fields.get("size"));
  const base = parsePrefix(fields.get("base") ?? "");
  if (!Number.isInteger(size) || size < base.bits || size > widthOf(base.family)) {
    throw new HullError("invalid-argument", `invalid default address pool ${text}: size does not fit the base`);
  }
  return { base, size };
}

/** A unique local /64 for each network that wants IPv6 and gives no subnet: out of fd00::/8 + 40 bits of the host's id. */
export function uniqueLocalPool(hostHash: bigint): AddressPool {
  const base = (0xfdn << 120n) | ((hostHash & ((1n << 40n) - 1n)) << 80n);
  return { base: { family: 6, base, bits: 48 }, size: 64 };
}
