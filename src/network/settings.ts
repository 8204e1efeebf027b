/** netd's command line: dockerd's flags by dockerd's names, parsed into a value. */
import { parseArgs } from "node:util";
import { HullError, messageOf } from "../platform/errors.ts";
import { type LogLevel, logLevels } from "../platform/log.ts";
import type { DnsRequest } from "./api.ts";
import { type AddressPool, defaultPools, parsePool } from "./ipam/pools.ts";
import { parseAddress, parseInterfacePrefix } from "./ipam/prefix.ts";

export interface NetworkSettings {
  readonly dataRoot: string;
  readonly execRoot: string;
  readonly keel: string;
  readonly logLevel: LogLevel;
  /** Name of the default bridge; empty: chosen; "none": there is none. */
  readonly bridge: string;
  /** Address and prefix of the default bridge; empty: chosen. */
  readonly bip: string;
  readonly fixedCidr: string;
  readonly defaultGateway: string;
  readonly mtu: number | undefined;
  readonly icc: boolean;
  readonly iptables: boolean;
  readonly ip6tables: boolean;
  readonly ipForward: boolean;
  readonly ipMasq: boolean;
  readonly ipv6: boolean;
  readonly firewallBackend: "iptables" | "nftables";
  readonly pools: readonly AddressPool[];
  readonly dns: DnsRequest;
  readonly hostGatewayIps: readonly string[];
  readonly poolSize: number;
}

/** Addresses of docker0 where we are in Docker's place. */
export const DOCKER_BRIDGE = "docker0";
export const DOCKER_BRIDGE_ADDRESS = "172.17.0.1/16";
const DEFAULT_POOL_SIZE = 4;

const text = { type: "string" } as const;
const list = { type: "string", multiple: true } as const;
const flags = {
  "data-root": text,
  "exec-root": text,
  keel: text,
  "log-level": text,
  bridge: text,
  bip: text,
  "fixed-cidr": text,
  "default-gateway": text,
  mtu: text,
  icc: text,
  iptables: text,
  ip6tables: text,
  "ip-forward": text,
  "ip-masq": text,
  ipv6: text,
  "userland-proxy": text,
  "firewall-backend": text,
  "default-address-pool": list,
  dns: list,
  "dns-opt": list,
  "dns-search": list,
  "host-gateway-ip": list,
  "namespace-pool": text,
} as const;

type Given = ReturnType<typeof given>;

function given(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options: flags, strict: true, allowPositionals: false }).values;
  } catch (error) {
    throw new HullError("invalid-argument", `hull-netd: ${messageOf(error)}`);
  }
}

/** Throws invalid-argument naming the flag. */
export function parseSettings(argv: readonly string[]): NetworkSettings {
  const values = given(argv);
  const level = values["log-level"] ?? "info";
  if (!logLevels.some((known) => known === level)) throw invalid("log-level", level);
  const backend = values["firewall-backend"] || "iptables";
  if (backend !== "iptables" && backend !== "nftables") throw invalid("firewall-backend", backend);
  return {
    dataRoot: required(values, "data-root"),
    execRoot: required(values, "exec-root"),
    keel: required(values, "keel"),
    logLevel: level as LogLevel,
    bridge: values.bridge ?? "",
    bip: checked("bip", values.bip, parseInterfacePrefix),
    fixedCidr: checked("fixed-cidr", values["fixed-cidr"], parseInterfacePrefix),
    defaultGateway: checked("default-gateway", values["default-gateway"], parseAddress),
    mtu: values.mtu ? number("mtu", values.mtu) : undefined,
    icc: flag(values, "icc", true),
    iptables: flag(values, "iptables", true),
    ip6tables: flag(values, "ip6tables", true),
    ipForward: flag(values, "ip-forward", true),
    ipMasq: flag(values, "ip-masq", true),
    ipv6: flag(values, "ipv6", false),
    firewallBackend: backend,
    pools: values["default-address-pool"]?.map(parsePool) ?? defaultPools,
    dns: {
      servers: (values.dns ?? []).map((server) => checked("dns", server, parseAddress)),
      options: values["dns-opt"] ?? [],
      search: values["dns-search"] ?? [],
    },
    hostGatewayIps: values["host-gateway-ip"] ?? [],
    poolSize: values["namespace-pool"] ? number("namespace-pool", values["namespace-pool"]) : DEFAULT_POOL_SIZE,
  };
}

const invalid = (name: string, value: string): HullError =>
  new HullError("invalid-argument", `invalid argument "${value}" for "--${name}"`);

function required(values: Given, name: "data-root" | "exec-root" | "keel"): string {
  const value = values[name];
  if (!value) throw new HullError("invalid-argument", `hull-netd: --${name} is missing`);
  return value;
}

function checked(name: string, value: string | undefined, parse: (text: string) => unknown): string {
  if (!value) return "";
  try {
    parse(value);
  } catch {
    throw invalid(name, value);
  }
  return value;
}

function number(name: string, value: string): number {
  if (!/^\d+$/.test(value)) throw invalid(name, value);
  return Number(value);
}

type Switch = "icc" | "iptables" | "ip6tables" | "ip-forward" | "ip-masq" | "ipv6";

function flag(values: Given, name: Switch, otherwise: boolean): boolean {
  const value = values[name];
  if (value === undefined) return otherwise;
  if (value === "true" || value === "1") return true;
  if (value === "false" || value === "0") return false;
  throw invalid(name, value);
}
