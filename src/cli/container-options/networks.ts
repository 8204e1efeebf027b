/** --network with its long syntax, and what --ip, --mac-address, --network-alias and --link add to the first one. */
import { HullError } from "../../platform/errors.ts";
import type { FlagValues } from "../flags.ts";
import { isAddress } from "./addresses.ts";
import { pairsOf, parseCsvFields, splitPair } from "./csv.ts";

export interface EndpointSettings {
  Aliases?: string[];
  Links?: string[];
  MacAddress?: string;
  DriverOpts?: Record<string, string>;
  GwPriority?: number;
  IPAMConfig?: { IPv4Address?: string; IPv6Address?: string; LinkLocalIPs?: string[] };
}

export interface NetworkChoice {
  /** HostConfig.NetworkMode. */
  readonly mode: string;
  readonly endpoints: Record<string, EndpointSettings>;
}

const refuse = (text: string): HullError => new HullError("invalid-argument", text);

/** Throws invalid-argument in docker's words. */
export function parseNetworks(flags: FlagValues): NetworkChoice {
  const given = [...flags.list("network"), ...flags.list("net")].map(parseNetwork);
  const single = singleOptions(flags);
  if (given.length === 0) given.push({ name: "default", settings: {} });
  const first = given[0]!;
  if (given.length > 1) {
    const shared = given.find(({ name }) => ["host", "none"].includes(name) || name.startsWith("container:"));
    if (shared) throw refuse(`conflicting options: cannot attach both user-defined and non-user-defined network-modes`);
  }
  first.settings = mergeSettings(first.settings, single);
  const endpoints: Record<string, EndpointSettings> = {};
  for (const { name, settings } of given) {
    refuseOutsideUserNetworks(name, settings);
    if (endpoints[name]) throw refuse(`network ${JSON.stringify(name)} is specified multiple times`);
    if (name.startsWith("container:") && Object.keys(settings).length === 0) continue;
    endpoints[name] = settings;
  }
  const plain = given.length === 1 && Object.keys(first.settings).length === 0;
  return { mode: first.name, endpoints: plain ? {} : endpoints };
}

/** Names in a network are made by its own DNS, which the default ones do not have. */
function refuseOutsideUserNetworks(name: string, { Aliases, Links }: EndpointSettings): void {
  const isOwn = !["", "default", "bridge", "host", "none"].includes(name) && !name.startsWith("container:");
  if (!isOwn && Aliases?.length) throw refuse("network-scoped aliases are only supported for user-defined networks");
  if (!isOwn && !["default", "bridge", ""].includes(name) && Links?.length)
    throw refuse("links are only supported for user-defined networks");
}

/** --add-host "name:address" or "name=address". Throws invalid-argument in docker's words. */
export function extraHost(text: string): string {
  const match = /^([^:=]+)[:=](.+)$/.exec(text);
  if (!match) throw refuse(`bad format for add-host: ${JSON.stringify(text)}`);
  const address = match[2]!.replace(/^\[(.*)\]$/, "$1");
  if (address !== "host-gateway" && !isAddress(address))
    throw refuse(`invalid IP address in add-host: ${JSON.stringify(match[2])}`);
  return `${match[1]}:${address}`;
}

interface Parsed {
  readonly name: string;
  settings: EndpointSettings;
}

/** One --network. Throws invalid-argument in docker's words. */
export function parseNetwork(text: string): Parsed {
  if (!text.includes("=")) return { name: text, settings: {} };
  const settings: EndpointSettings = {};
  let name = "";
  for (const [key, value = ""] of parseCsvFields(text).map(splitPair)) {
    if (key === "name") name = value;
    else applyField(settings, key, value);
  }
  if (name === "") throw refuse(`invalid field value: missing network name in ${JSON.stringify(text)}`);
  return { name, settings };
}

function applyField(settings: EndpointSettings, key: string, value: string): void {
  const ipam = () => (settings.IPAMConfig ??= {});
  switch (key) {
    case "alias":
      settings.Aliases = [...(settings.Aliases ?? []), value];
      return;
    case "ip":
      ipam().IPv4Address = value;
      return;
    case "ip6":
      ipam().IPv6Address = value;
      return;
    case "link-local-ip":
      ipam().LinkLocalIPs = [...(ipam().LinkLocalIPs ?? []), value];
      return;
    case "mac-address":
      settings.MacAddress = value;
      return;
    case "driver-opt":
      settings.DriverOpts = { ...settings.DriverOpts, ...pairsOf([value]) };
      return;
    case "gw-priority":
      if (!/^-?\d+$/.test(value)) throw refuse(`invalid gw-priority: ${value}`);
      settings.GwPriority = Number(value);
      return;
    default:
      throw refuse(`invalid field key ${key}`);
  }
}

function singleOptions(flags: FlagValues): EndpointSettings {
  const aliases = [...flags.list("network-alias"), ...flags.list("net-alias")];
  const ip = flags.text("ip");
  const ip6 = flags.text("ip6");
  const linkLocal = flags.list("link-local-ip");
  const ipam = {
    ...(ip === undefined ? {} : { IPv4Address: ip }),
    ...(ip6 === undefined ? {} : { IPv6Address: ip6 }),
    ...(linkLocal.length === 0 ? {} : { LinkLocalIPs: [...linkLocal] }),
  };
  const mac = flags.text("mac-address");
  return {
    ...(aliases.length > 0 ? { Aliases: aliases } : {}),
    ...(flags.list("link").length > 0 ? { Links: [...flags.list("link")] } : {}),
    ...(Object.keys(ipam).length > 0 ? { IPAMConfig: ipam } : {}),
    ...(mac === undefined ? {} : { MacAddress: mac }),
  };
}

function mergeSettings(long: EndpointSettings, single: EndpointSettings): EndpointSettings {
  if (long.Aliases && single.Aliases) {
    throw refuse("conflicting options: cannot specify both --network-alias and per-network alias");
  }
  return { ...long, ...single };
}
