/**
 * The networks: list, create, remove; the predefined ones made at the first start.
 *
 * Lifecycle: `start` makes the predefined records and every bridge -> `create`/`remove` -> `heal` puts bridges back -> `standDown` takes
 * all bridges away and keeps the records.
 */
import { createHash } from "node:crypto";
import { hostname } from "node:os";
import type { Log } from "../platform/log.ts";
import type { CreateNetwork, NetworkDetails } from "./api.ts";
import { chooseBridge } from "./bridge/bridge-choice.ts";
import type { Bridges } from "./bridge/bridges.ts";
import { type HostView, viewHost } from "./bridge/host-view.ts";
import { defaultBridge, predefinedNetwork } from "./default-bridge.ts";
import { abandonedBridges, ownerOf } from "./engine-mark.ts";
import { forgetForwarding } from "./forwarding.ts";
import { readHostServers } from "./host-resolv.ts";
import { type FormerNetwork, formerly } from "./host-rules.ts";
import { inHostTurn } from "./host-turn.ts";
import { uniqueLocalPool } from "./ipam/pools.ts";
import { type Prefix, parseAddress, prefixAround, widthOf } from "./ipam/prefix.ts";
import type { Kernel } from "./kernel.ts";
import { activeEndpoints, ambiguousNetwork, networkNotFound, predefinedRemove } from "./messages.ts";
import type { Link } from "./netlink/link.ts";
import { type NetworkSurroundings, newNetwork } from "./new-network.ts";
import {
  type BridgeNetwork,
  type EndpointRecord,
  parseBridgeNetwork,
  type SandboxRecord,
  type StoredNetwork,
} from "./record.ts";
import type { NetworkSettings } from "./settings.ts";
import type { NetworkStore } from "./store.ts";

export interface NetworksParts {
  readonly kernel: Kernel;
  readonly store: NetworkStore;
  readonly bridges: Bridges;
  readonly settings: NetworkSettings;
  readonly log: Log;
  /** The list has changed: rules and names are to be made anew. `gone`: what also had rules, unknown to this process. */
  readonly changed: (gone?: readonly FormerNetwork[]) => Promise<void>;
}

export class Networks {
  #bridges = new Map<string, BridgeNetwork>();
  #turn: Promise<unknown> = Promise.resolve();

  constructor(private readonly parts: NetworksParts) {}

  /** The bridge networks, parsed. */
  all(): readonly BridgeNetwork[] {
    return [...this.#bridges.values()];
  }

  bridge(id: string): BridgeNetwork | undefined {
    return this.#bridges.get(id);
  }

  get defaultBridge(): BridgeNetwork | undefined {
    return this.all().find((network) => !network.embeddedDns);
  }

  /** What the records say, before anything is looked at. */
  load(): void {
    this.#parse();
  }

  /** Throws conflict when the bridge asked for cannot be had. */
  async start(): Promise<void> {
    await inHostTurn(this.parts.log, () => this.#start());
    const { store } = this.parts;
    for (const stale of store.networks().filter((network) => network.removing)) await this.#finishRemoval(stale);
  }

  async #start(): Promise<void> {
    const { kernel, bridges, log } = this.parts;
    const seen = await viewHost(kernel);
    if (seen.links.every((link) => ownerOf(link, bridges.mark) === "nobody")) forgetForwarding();
    const abandoned = abandonedBridges(seen.links, bridges.mark);
    const view = without(seen, abandoned);
    const replaced = this.#definePredefined(view);
    this.#parse();
    const gone = [...abandoned.map((link) => formerOf(link, seen)), ...replaced.map(formerly)];
    if (gone.length > 0) await this.parts.changed(gone);
    if (abandoned.length > 0) {
      log.info("removing the bridges of engines whose root is gone", {
        bridges: abandoned.map(({ name }) => name).join(" "),
      });
      await bridges.removeAbandoned(abandoned);
    }
    for (const network of replaced) await bridges.remove(network);
    await this.#heal();
  }

  /** By full id, name, or unambiguous prefix of an id. Throws not-found or invalid-argument. */
  get(reference: string): StoredNetwork {
    const list = this.parts.store.networks().filter((network) => !network.removing);
    const wanted = reference === "default" ? "bridge" : reference;
    const exact = list.find((network) => network.id === wanted) ?? list.find((network) => network.name === wanted);
    if (exact) return exact;
    const matches = wanted === "" ? [] : list.filter((network) => network.id.startsWith(wanted));
    if (matches.length > 1) throw ambiguousNetwork(reference);
    if (matches.length === 0) throw networkNotFound(reference);
    return matches[0]!;
  }

  create(request: CreateNetwork): Promise<StoredNetwork> {
    return this.#inTurn(() => inHostTurn(this.parts.log, () => this.#create(request)));
  }

  remove(reference: string): Promise<StoredNetwork> {
    return this.#inTurn(() => this.#remove(reference));
  }

  /** Puts back what is missing; the texts of it. */
  heal(): Promise<string[]> {
    return this.#inTurn(() => this.#heal());
  }

  async #create(request: CreateNetwork): Promise<StoredNetwork> {
    const around = this.#surroundings(await viewHost(this.parts.kernel));
    const stored = newNetwork(request, around);
    this.parts.store.putNetwork(stored);
    this.#parse();
    try {
      await this.parts.bridges.ensure(this.#bridges.get(stored.id)!, []);
      await this.parts.changed();
      return stored;
    } catch (error) {
      await this.#finishRemoval(stored);
      throw error;
    }
  }

  async #remove(reference: string): Promise<StoredNetwork> {
    const stored = this.get(reference);
    if (stored.predefined) throw predefinedRemove(stored.name);
    const active = connectedTo(this.parts.store.sandboxes(), stored.id);
    if (active.length > 0) {
      throw activeEndpoints(
        stored.name,
        active.map(
          ({ sandbox, endpoint }) => `name:"${sandbox.request.names.name}" id:"${endpoint.endpointId.slice(0, 12)}"`,
        ),
      );
    }
    this.parts.store.putNetwork({ ...stored, removing: true });
    await this.#finishRemoval({ ...stored, removing: true });
    return stored;
  }

  details(stored: StoredNetwork): NetworkDetails {
    const { userSubnet: _, removing: __, found: ___, ...shown } = stored;
    return {
      ...shown,
      scope: "local",
      endpoints: connectedTo(this.parts.store.sandboxes(), stored.id).map(({ sandbox, endpoint }) => ({
        containerId: sandbox.containerId,
        name: sandbox.request.names.name,
        endpointId: endpoint.endpointId,
        mac: endpoint.mac,
        ipv4: endpoint.ip && `${endpoint.ip}/${endpoint.prefixLength}`,
        ipv6: endpoint.ip6 && `${endpoint.ip6}/${endpoint.prefixLength6}`,
      })),
    };
  }

  async #heal(): Promise<string[]> {
    const view = await viewHost(this.parts.kernel);
    const done: string[] = [];
    for (const network of this.all()) {
      // Those on their way are put on the bridge by who makes them.
      const connected = this.parts.store.sandboxes().filter((sandbox) => sandbox.state === "connected");
      const endpoints = connectedTo(connected, network.stored.id).map(({ endpoint }) => endpoint);
      done.push(...(await this.parts.bridges.ensure(network, endpoints, view)));
    }
    return done;
  }

  async standDown(): Promise<void> {
    for (const network of this.all()) await this.parts.bridges.remove(network);
  }

  async #finishRemoval(stored: StoredNetwork): Promise<void> {
    // The rules go first: what names a bridge that is gone would be nobody's.
    this.#bridges.delete(stored.id);
    await this.parts.changed();
    await this.parts.bridges.remove(parseBridgeNetwork(stored));
    this.parts.store.deleteNetwork(stored.id);
    this.#parse();
  }

  /** One at a time: a repair must not meet a bridge that is half made. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work, work);
    this.#turn = result.catch(() => {});
    return result;
  }

  #parse(): void {
    const bridges = this.parts.store.networks().filter((network) => network.driver === "bridge" && !network.removing);
    this.#bridges = new Map(bridges.map((stored) => [stored.id, parseBridgeNetwork(stored)]));
  }

  /** Networks that had another bridge until now. */
  #definePredefined(view: HostView): BridgeNetwork[] {
    const { store, settings, bridges } = this.parts;
    const named = (name: string): StoredNetwork | undefined =>
      store.networks().find((network) => network.name === name);
    if (!named("host")) store.putNetwork(predefinedNetwork("host", "host"));
    if (!named("none")) store.putNetwork(predefinedNetwork("none", "null"));
    const before = named("bridge");
    const others = store.networks().filter(({ name }) => name !== "bridge");
    const around = { ...this.#surroundings(view), existing: others };
    const used = others.map(({ bridgeName }) => bridgeName);
    const wish = {
      asked: settings.bridge,
      before: before?.bridgeName ?? "",
      used,
      links: view.links,
      mark: bridges.mark,
    };
    const wanted =
      settings.bridge === "none"
        ? undefined
        : defaultBridge({ settings, bridge: chooseBridge(wish), around, before, view });
    if (before && !wanted) store.deleteNetwork(before.id);
    if (wanted && JSON.stringify(wanted) !== JSON.stringify(before)) store.putNetwork(wanted);
    const isReplaced = before && before.bridgeName !== wanted?.bridgeName && isOurs(before.bridgeName, view, bridges);
    return isReplaced ? [parseBridgeNetwork(before)] : [];
  }

  #surroundings(view: HostView): NetworkSurroundings {
    const { store, settings, bridges } = this.parts;
    return {
      existing: store.networks(),
      onLink: [
        ...view.onLink.filter((route) => !isOurs(route.interface, view, bridges)).map((route) => route.prefix),
        ...readHostServers().flatMap(serverPrefix),
      ],
      pools: settings.pools.filter((pool) => pool.base.family === 4),
      pools6: [...settings.pools.filter((pool) => pool.base.family === 6), uniqueLocalPool(hostHash())],
      interfaces: view.links.map((link) => link.name),
      defaultMtu: undefined,
    };
  }
}

const isOurs = (name: string, { links }: HostView, { mark }: Bridges): boolean =>
  links.some((link) => link.name === name && ownerOf(link, mark) === "ours");

/** The host as it will be without these interfaces. */
function without(view: HostView, gone: readonly Link[]): HostView {
  const names = gone.map(({ name }) => name);
  const indexes = gone.map(({ index }) => index);
  return {
    links: view.links.filter(({ name }) => !names.includes(name)),
    addresses: view.addresses.filter(({ index }) => !indexes.includes(index)),
    onLink: view.onLink.filter((route) => !names.includes(route.interface)),
  };
}

const formerOf = (link: Link, view: HostView): FormerNetwork => ({
  bridge: link.name,
  subnets: view.addresses
    .filter(({ index }) => index === link.index)
    .map(({ address, prefixLength }) => prefixAround(address, prefixLength)),
});

const hostHash = (): bigint => createHash("sha256").update(hostname()).digest().readBigUInt64BE(0);

function serverPrefix(server: string): Prefix[] {
  try {
    const address = parseAddress(server);
    return [prefixAround(address, widthOf(address.family))];
  } catch {
    return [];
  }
}

/** Connected endpoints of a network. */
export function connectedTo(
  sandboxes: readonly SandboxRecord[],
  networkId: string,
): { readonly sandbox: SandboxRecord; readonly endpoint: EndpointRecord }[] {
  return sandboxes
    .filter((sandbox) => sandbox.state !== "releasing")
    .flatMap((sandbox) =>
      sandbox.endpoints.filter((one) => one.networkId === networkId).map((endpoint) => ({ sandbox, endpoint })),
    );
}
