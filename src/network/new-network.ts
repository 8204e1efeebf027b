/** From a request to a network's record: validation, address choice, names. Pure but for the random id. */
import { randomBytes } from "node:crypto";
import { HullError } from "../platform/errors.ts";
import type { CreateNetwork, IpamPoolConfig } from "./api.ts";
import { type AddressPool, choosePool } from "./ipam/pools.ts";
import {
  type Address,
  addressOf,
  contains,
  formatAddress,
  formatPrefix,
  overlaps,
  type Prefix,
  parseAddress,
  parseInterfacePrefix,
  parsePrefix,
} from "./ipam/prefix.ts";
import {
  networkExists,
  noPlatformDriver,
  onlyOneInstance,
  poolOverlaps,
  predefinedCreate,
  unknownDriver,
} from "./messages.ts";
import { gatewayModes, option, type StoredNetwork } from "./record.ts";

export interface NetworkSurroundings {
  readonly existing: readonly StoredNetwork[];
  /** Prefixes that this host reaches directly, and its name servers. */
  readonly onLink: readonly Prefix[];
  readonly pools: readonly AddressPool[];
  readonly pools6: readonly AddressPool[];
  /** Names of interfaces that exist. */
  readonly interfaces: readonly string[];
  readonly defaultMtu: number | undefined;
}

const validName = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
const predefinedNames = ["bridge", "host", "none", "default"];
const laterDrivers = ["macvlan", "ipvlan", "overlay"];

/** Throws the errors of `createNetwork`; nothing has changed then. */
export function newNetwork(request: CreateNetwork, around: NetworkSurroundings): StoredNetwork {
  checkName(request.name, around);
  checkDriver(request.driver || "bridge");
  const options = request.options ?? {};
  const id = randomBytes(32).toString("hex");
  const bridgeName = options[option.bridgeName] || `br-${id.slice(0, 12)}`;
  checkOptions(options);
  checkBridgeName(bridgeName, around);
  if (request.ipamDriver && !["default", "null"].includes(request.ipamDriver)) {
    throw new HullError("not-found", `could not find IPAM driver ${request.ipamDriver}: plugin not found`);
  }
  return {
    id,
    name: request.name,
    driver: "bridge",
    created: new Date().toISOString().replace("Z", "000000Z"),
    internal: request.internal ?? false,
    attachable: request.attachable ?? false,
    ingress: request.ingress ?? false,
    enableIPv4: request.enableIPv4 ?? true,
    enableIPv6: request.enableIPv6 ?? false,
    options: around.defaultMtu === undefined ? options : { [option.mtu]: String(around.defaultMtu), ...options },
    labels: request.labels ?? {},
    ipamDriver: request.ipamDriver || "default",
    ipamOptions: request.ipamOptions ?? {},
    ipam: decidePools(request, around),
    userSubnet: (request.ipam ?? []).some((pool) => Boolean(pool.subnet)),
    predefined: false,
    bridgeName,
  };
}

function checkName(name: string, around: NetworkSurroundings): void {
  if (!validName.test(name)) {
    throw new HullError(
      "invalid-argument",
      name === ""
        ? "network name cannot be empty"
        : `invalid network name "${name}": only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`,
    );
  }
  if (predefinedNames.includes(name)) throw predefinedCreate(name);
  if (around.existing.some((network) => network.name === name)) throw networkExists(name);
}

function checkDriver(driver: string): void {
  if (driver === "bridge") return;
  if (driver === "host" || driver === "null" || driver === "none") throw onlyOneInstance(driver);
  throw laterDrivers.includes(driver) ? noPlatformDriver(driver) : unknownDriver(driver);
}

function checkOptions(options: Readonly<Record<string, string>>): void {
  for (const key of [option.icc, option.masquerade, option.defaultBridge]) {
    const value = options[key];
    if (value !== undefined && value !== "true" && value !== "false") {
      throw new HullError("invalid-argument", `invalid value "${value}" for option ${key}: true or false are allowed`);
    }
  }
  const mtu = options[option.mtu];
  if (mtu !== undefined && !(/^\d+$/.test(mtu) && Number(mtu) >= 68 && Number(mtu) <= 65535)) {
    throw new HullError("invalid-argument", `invalid MTU "${mtu}": 68 to 65535 are allowed`);
  }
  for (const key of [option.gatewayMode4, option.gatewayMode6]) {
    const mode = options[key];
    if (mode !== undefined && !gatewayModes.some((known) => known === mode)) {
      throw new HullError("invalid-argument", `unknown gateway mode "${mode}" for ${key}`);
    }
  }
  for (const key of [option.hostBinding, option.hostIpv4]) if (options[key]) parseAddress(options[key]);
}

const MAX_INTERFACE_NAME = 15;

function checkBridgeName(name: string, around: NetworkSurroundings): void {
  if (name.length > MAX_INTERFACE_NAME || !/^[^\s/:]+$/.test(name)) {
    throw new HullError("invalid-argument", `invalid bridge name "${name}": at most ${MAX_INTERFACE_NAME} characters`);
  }
  const owner = around.existing.find((network) => network.bridgeName === name);
  if (owner) {
    throw new HullError(
      "permission-denied",
      `cannot create network: conflicts with network ${owner.id} (${owner.name}): networks have same bridge name`,
    );
  }
  if (around.interfaces.includes(name)) {
    throw new HullError("permission-denied", `an interface named ${name} exists and is not ours`);
  }
}

function decidePools(request: CreateNetwork, around: NetworkSurroundings): IpamPoolConfig[] {
  const asked = request.ipam ?? [];
  const given = asked.filter((pool) => pool.subnet);
  const loose = asked.find((pool) => !pool.subnet);
  const inUse = around.existing.flatMap((network) => network.ipam.map((pool) => parsePrefix(pool.subnet ?? "")));
  const decided = given.map((pool) => decidePool(pool, inUse));
  const has = (family: 4 | 6): boolean => decided.some((pool) => parsePrefix(pool.subnet!).family === family);
  for (const family of [4, 6] as const) {
    const wanted = family === 4 ? (request.enableIPv4 ?? true) : (request.enableIPv6 ?? false);
    const ofFamily = decided.filter((pool) => parsePrefix(pool.subnet!).family === family);
    if (ofFamily.length > 1)
      throw new HullError("invalid-argument", `bridge driver supports only one IPv${family} subnet`);
    if (!wanted || has(family)) continue;
    const pools = family === 4 ? around.pools : around.pools6;
    const prefix = choosePool(pools, [...inUse, ...around.onLink]);
    decided.push(decidePool({ ...(family === 4 ? loose : {}), subnet: formatPrefix(prefix) }, inUse));
  }
  return decided.filter((pool) => parsePrefix(pool.subnet!).family === 4 || (request.enableIPv6 ?? false));
}

/** One pool as asked for, checked and completed with its gateway. */
export function decidePool(pool: IpamPoolConfig, inUse: readonly Prefix[]): IpamPoolConfig {
  const { address, prefix } = parseInterfacePrefix(pool.subnet ?? "");
  if (address.value !== prefix.base) {
    throw new HullError(
      "invalid-argument",
      `invalid network config:\ninvalid subnet ${pool.subnet}: it should be ${formatPrefix(prefix)}`,
    );
  }
  if (inUse.some((other) => overlaps(other, prefix))) throw poolOverlaps();
  const inside = (text: string, what: string): Address => {
    const found = parseAddress(text);
    if (contains(prefix, found)) return found;
    throw new HullError(
      "invalid-argument",
      `invalid network config:\ninvalid ${what} ${text}: parent subnet is ${formatPrefix(prefix)}`,
    );
  };
  const range = pool.ipRange ? parsePrefix(pool.ipRange) : undefined;
  if (range && !(overlaps(range, prefix) && range.bits >= prefix.bits)) {
    throw new HullError(
      "invalid-argument",
      `invalid network config:\ninvalid ip-range ${pool.ipRange}: parent subnet is ${formatPrefix(prefix)}`,
    );
  }
  const auxiliary = Object.values(pool.auxAddresses ?? {}).map((text) => inside(text, "auxiliary address").value);
  const gateway = pool.gateway ? inside(pool.gateway, "gateway") : firstUsable(prefix, range, auxiliary);
  return {
    subnet: formatPrefix(prefix),
    ...(pool.ipRange ? { ipRange: formatPrefix(range!) } : {}),
    gateway: formatAddress(gateway),
    ...(pool.auxAddresses && auxiliary.length > 0 ? { auxAddresses: pool.auxAddresses } : {}),
  };
}

function firstUsable(prefix: Prefix, range: Prefix | undefined, auxiliary: readonly bigint[]): Address {
  let value = (range ?? prefix).base;
  if (value === prefix.base && prefix.bits < (prefix.family === 4 ? 31 : 127)) value++;
  while (auxiliary.includes(value)) value++;
  const gateway = addressOf(prefix.family, value);
  if (!contains(prefix, gateway)) throw new HullError("invalid-argument", `subnet ${formatPrefix(prefix)} has no room`);
  return gateway;
}
