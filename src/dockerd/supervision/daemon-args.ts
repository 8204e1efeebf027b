/** The command lines of the daemons hulld starts, from its own settings. Pure: an adopted daemon is compared with them. */
import { join } from "node:path";
import { keelPath } from "../../platform/paths.ts";
import type { DaemonConfig } from "../config.ts";

export function containerdArgs(config: DaemonConfig): string[] {
  const own = ["--keel", keelPath(), "--log-level", config.logLevel, "--registries", registriesPath(config)];
  return [...roots(config), ...own];
}

/** What hull-containerd is told of registries, as JSON. */
export const registriesPath = ({ execRoot }: DaemonConfig): string => join(execRoot, "registries.json");

export function buildkitdArgs(config: DaemonConfig): string[] {
  return [
    ...roots(config),
    ...["--keel", keelPath(), "--log-level", config.logLevel],
    ...given("--max-concurrent-builds", config.maxConcurrentBuilds === 0 ? "" : String(config.maxConcurrentBuilds)),
    ...config.builderEntitlements.flatMap((entitlement) => ["--allow-insecure-entitlement", entitlement]),
    ...given("--idle-timeout", config.builderIdleSeconds === 0 ? "" : String(config.builderIdleSeconds)),
  ];
}

/** `inDockersPlace`: hulld serves /var/run/docker.sock, so its default bridge is docker0. */
export function netdArgs(config: DaemonConfig, inDockersPlace: boolean): string[] {
  const { network } = config;
  const bridge = network.bridge || (inDockersPlace ? "docker0" : "");
  return [
    ...roots(config),
    ...["--keel", keelPath(), "--log-level", config.logLevel],
    ...given("--bridge", bridge),
    ...given("--bip", network.bip),
    ...given("--fixed-cidr", network.fixedCidr),
    ...given("--default-gateway", network.defaultGateway),
    ...given("--mtu", network.mtu === undefined ? "" : String(network.mtu)),
    ...given("--firewall-backend", network.firewallBackend),
    ...switches(network),
    ...network.defaultAddressPools.flatMap(({ base, size }) => ["--default-address-pool", `base=${base},size=${size}`]),
    ...network.dns.flatMap((server) => ["--dns", server]),
    ...network.dnsOptions.flatMap((option) => ["--dns-opt", option]),
    ...network.dnsSearch.flatMap((domain) => ["--dns-search", domain]),
    ...network.hostGatewayIps.flatMap((address) => ["--host-gateway-ip", address]),
  ];
}

const roots = (config: DaemonConfig): string[] => ["--data-root", config.dataRoot, "--exec-root", config.execRoot];

const given = (flag: string, value: string): string[] => (value === "" ? [] : [flag, value]);

/** Only what differs from netd's own defaults. */
const switches = (network: DaemonConfig["network"]): string[] => [
  ...(network.icc ? [] : ["--icc=false"]),
  ...(network.iptables ? [] : ["--iptables=false"]),
  ...(network.ip6tables ? [] : ["--ip6tables=false"]),
  ...(network.ipForward ? [] : ["--ip-forward=false"]),
  ...(network.ipMasq ? [] : ["--ip-masq=false"]),
  ...(network.ipv6 ? ["--ipv6=true"] : []),
  ...(network.userlandProxy ? [] : ["--userland-proxy=false"]),
];
