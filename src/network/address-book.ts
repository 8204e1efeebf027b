/** Which addresses are spoken for: gateways, auxiliary ones, endpoints, reservations of stopped containers, and what was given back just now. */
import type { AddressBook } from "./endpoint-choice.ts";
import { COOL_DOWN_MS } from "./ipam/addresses.ts";
import { type Family, parseAddress } from "./ipam/prefix.ts";
import type { BridgeNetwork, EndpointRecord } from "./record.ts";
import type { NetworkStore } from "./store.ts";

export class StoredAddressBook implements AddressBook {
  /** network id -> address -> when it was given back. */
  readonly #released = new Map<string, Map<bigint, number>>();

  constructor(private readonly store: NetworkStore) {}

  taken(network: BridgeNetwork, family: Family, containerId: string): ReadonlySet<bigint> {
    const { id, name } = network.stored;
    const subnet = family === 4 ? network.subnet4 : network.subnet6;
    const taken = new Set<bigint>(subnet ? [subnet.gateway.value, ...subnet.auxiliary.map(({ value }) => value)] : []);
    const add = (text: string | undefined): void => {
      if (text) taken.add(parseAddress(text).value);
    };
    for (const sandbox of this.store.sandboxes()) {
      if (sandbox.state === "releasing") continue;
      for (const one of sandbox.endpoints) if (one.networkId === id) add(family === 4 ? one.ip : one.ip6);
    }
    for (const reservation of this.store.reservations()) {
      if (reservation.containerId === containerId) continue;
      for (const one of reservation.endpoints) {
        if (one.network === id || one.network === name) add(family === 4 ? one.ip : one.ip6);
      }
    }
    return taken;
  }

  releasedAtMs(network: BridgeNetwork): ReadonlyMap<bigint, number> {
    return this.#released.get(network.stored.id) ?? new Map();
  }

  released(endpoint: EndpointRecord): void {
    const book = this.#released.get(endpoint.networkId) ?? new Map<bigint, number>();
    this.#released.set(endpoint.networkId, book);
    const nowMs = Date.now();
    for (const [value, at] of book) if (nowMs - at > COOL_DOWN_MS) book.delete(value);
    for (const text of [endpoint.ip, endpoint.ip6]) if (text) book.set(parseAddress(text).value, nowMs);
  }
}
