/**
 * Which names a container sees: pure. A container resolves the names of every endpoint on its user-defined networks, and its own links.
 */
import type { SandboxRecord } from "../record.ts";

/** What a name stands for, seen from one container. */
export interface Found {
  readonly ipv4: readonly string[];
  readonly ipv6: readonly string[];
}

export interface ZoneNetwork {
  readonly id: string;
  readonly name: string;
  readonly embeddedDns: boolean;
}

/** Lifecycle: made anew after each change of sandboxes or networks; reads only. */
export class Zone {
  /** network id -> lower-case name -> addresses. */
  readonly #names = new Map<string, Map<string, { ipv4: string[]; ipv6: string[] }>>();
  /** network id -> address -> name with the network's name. */
  readonly #reverse = new Map<string, Map<string, string>>();
  readonly #networks = new Map<string, ZoneNetwork>();
  readonly #sandboxes = new Map<string, SandboxRecord>();

  constructor(networks: readonly ZoneNetwork[], sandboxes: readonly SandboxRecord[]) {
    for (const network of networks) if (network.embeddedDns) this.#networks.set(network.id, network);
    for (const sandbox of sandboxes) {
      this.#sandboxes.set(sandbox.containerId, sandbox);
      for (const endpoint of sandbox.endpoints) this.#add(endpoint);
    }
  }

  #add(endpoint: SandboxRecord["endpoints"][number]): void {
    const network = this.#networks.get(endpoint.networkId);
    if (!network) return;
    const names = this.#names.get(network.id) ?? new Map<string, { ipv4: string[]; ipv6: string[] }>();
    this.#names.set(network.id, names);
    for (const name of endpoint.dnsNames) {
      const entry = names.get(name.toLowerCase()) ?? { ipv4: [], ipv6: [] };
      if (endpoint.ip) entry.ipv4.push(endpoint.ip);
      if (endpoint.ip6) entry.ipv6.push(endpoint.ip6);
      names.set(name.toLowerCase(), entry);
    }
    const reverse = this.#reverse.get(network.id) ?? new Map<string, string>();
    this.#reverse.set(network.id, reverse);
    const first = endpoint.dnsNames[0];
    if (!first) return;
    for (const address of [endpoint.ip, endpoint.ip6]) if (address) reverse.set(address, `${first}.${network.name}`);
  }

  /** Undefined: not a name of ours, ask upstream. `name` is without the final dot. */
  find(containerId: string, name: string): Found | undefined {
    const sandbox = this.#sandboxes.get(containerId);
    if (!sandbox) return undefined;
    const wanted = name.toLowerCase();
    const ipv4: string[] = [];
    const ipv6: string[] = [];
    let known = false;
    for (const endpoint of sandbox.endpoints) {
      const network = this.#networks.get(endpoint.networkId);
      if (!network) continue;
      for (const entry of [this.#linked(endpoint, wanted), ...this.#entries(network, wanted)]) {
        if (!entry) continue;
        known = true;
        ipv4.push(...entry.ipv4);
        ipv6.push(...entry.ipv6);
      }
    }
    return known ? { ipv4: [...new Set(ipv4)], ipv6: [...new Set(ipv6)] } : undefined;
  }

  /** The name itself, and "name.network" split at every dot. */
  *#entries(network: ZoneNetwork, wanted: string): Generator<Found | undefined> {
    const names = this.#names.get(network.id);
    yield names?.get(wanted);
    const suffix = `.${network.name.toLowerCase()}`;
    if (wanted.endsWith(suffix)) yield names?.get(wanted.slice(0, -suffix.length));
  }

  #linked(endpoint: SandboxRecord["endpoints"][number], wanted: string): Found | undefined {
    const target = endpoint.request.links?.[wanted];
    if (target === undefined) return undefined;
    const other = this.#sandboxes
      .get(target)
      ?.endpoints.find((candidate) => candidate.networkId === endpoint.networkId);
    return other && { ipv4: other.ip ? [other.ip] : [], ipv6: other.ip6 ? [other.ip6] : [] };
  }

  /** The name of an address on the container's networks. */
  reverse(containerId: string, address: string): string | undefined {
    for (const endpoint of this.#sandboxes.get(containerId)?.endpoints ?? []) {
      const name = this.#reverse.get(endpoint.networkId)?.get(address);
      if (name !== undefined) return name;
    }
    return undefined;
  }
}
