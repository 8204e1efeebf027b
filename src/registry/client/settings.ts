/** What the engine is told about registries: daemon.json's keys, shared by pull, push and builds. Plain data. */
import ipaddr from "ipaddr.js";
import { HullError } from "../../platform/errors.ts";

export interface RegistrySettings {
  /** Registry ("docker.io", "quay.io:443") to the URLs of its mirrors, asked in this order before itself. */
  readonly mirrors: Readonly<Record<string, readonly string[]>>;
  /** "host", "host:port" or CIDR: unverified TLS, and plain HTTP where there is none. */
  readonly insecure: readonly string[];
  /** Directories with one directory per registry: certificates and hosts.toml. */
  readonly certDirectories: readonly string[];
  /** Hosts beside the registry's own that may be sent its credentials for a token. */
  readonly trustedRealms: readonly string[];
  /** Registries that layers of limited distribution are pushed to: "host", "host:port" or CIDR. */
  readonly allowNondistributable: readonly string[];
  readonly maxDownloads: number;
  readonly maxUploads: number;
}

export const defaultCertDirectories = ["/etc/hull/certs.d", "/etc/docker/certs.d"] as const;

export const defaultSettings: RegistrySettings = {
  mirrors: {},
  insecure: [],
  certDirectories: defaultCertDirectories,
  trustedRealms: [],
  allowNondistributable: [],
  maxDownloads: 3,
  maxUploads: 5,
};

/** From JSON that hulld wrote. Throws invalid-argument. */
export function parseRegistrySettings(text: string): RegistrySettings {
  const json = JSON.parse(text) as Partial<RegistrySettings>;
  const strings = (value: unknown): boolean =>
    Array.isArray(value) && value.every((entry) => typeof entry === "string");
  const merged = { ...defaultSettings, ...json };
  const lists = [
    merged.insecure,
    merged.certDirectories,
    merged.trustedRealms,
    merged.allowNondistributable,
    ...Object.values(merged.mirrors),
  ];
  if (!lists.every(strings) || !(merged.maxDownloads >= 1) || !(merged.maxUploads >= 1))
    throw new HullError("invalid-argument", "the settings of registries are malformed");
  return merged;
}

/** "https://mirror/" mirrors Docker Hub, "quay.io=https://mirror/" quay.io. Throws invalid-argument in dockerd's words. */
export function parseMirrors(entries: readonly string[]): Record<string, string[]> {
  const mirrors: Record<string, string[]> = {};
  for (const entry of entries) {
    const named = /^([^/=]+)=(.*)$/.exec(entry);
    const [registry, url] = named ? [named[1]!, named[2]!] : ["docker.io", entry];
    if (!/^https?:\/\/[^/?#@]+(\/[^?#]*)?$/.test(url)) {
      const want = "must be an http:// or https:// URL without user, query or fragment, or REGISTRY=URL";
      throw new HullError("invalid-argument", `invalid mirror: "${entry}" ${want}`);
    }
    mirrors[registry] = [...(mirrors[registry] ?? []), url.endsWith("/") ? url : `${url}/`];
  }
  return mirrors;
}

/** Loopback is insecure by itself, as for dockerd. `host`: "name:port". */
export function isInsecure({ insecure }: Pick<RegistrySettings, "insecure">, host: string): boolean {
  return isLoopback(hostnameOf(host)) || lists(insecure, host);
}

/** `entries`: hosts, hosts with a port, CIDRs. */
export function lists(entries: readonly string[], host: string): boolean {
  const name = hostnameOf(host);
  if (entries.includes(host) || entries.includes(name)) return true;
  if (!ipaddr.isValid(name)) return false;
  const address = ipaddr.process(name);
  return entries.some((entry) => {
    if (!entry.includes("/")) return false;
    const [network, bits] = ipaddr.parseCIDR(entry);
    return network.kind() === address.kind() && address.match(network, bits);
  });
}

/** "[::1]:5000" -> "::1". */
export const hostnameOf = (host: string): string => new URL(`http://${host}`).hostname.replace(/^\[|\]$/g, "");

export function isLoopback(name: string): boolean {
  if (name === "localhost") return true;
  return ipaddr.isValid(name) && ipaddr.process(name).range() === "loopback";
}
