/**
 * Containers' networking: namespaces, interfaces, published ports, names.
 *
 * Lifecycle of a record: "connecting" (written before anything is made) -> "connected" -> "releasing" -> gone. Calls for one container run
 * one after the other; a failed connect has undone what it did.
 */
import { randomInt } from "node:crypto";
import { join } from "node:path";
import { again } from "../keel/again.ts";
import type { Operation } from "../keel/plan.ts";
import { codeOf, HullError, messageOf } from "../platform/errors.ts";
import type { Log } from "../platform/log.ts";
import type { SpanContext } from "../trace/context.ts";
import type { ConnectRequest, EndpointRequest, Names } from "./api.ts";
import type { Bridges } from "./bridge/bridges.ts";
import { forgetUdpFlows } from "./conntrack.ts";
import type { DnsResponder } from "./dns/responder.ts";
import { type AddressBook, chooseEndpoint, dnsNames, withGateway } from "./endpoint-choice.ts";
import type { HostRules } from "./host-rules.ts";
import type { Kernel } from "./kernel.ts";
import type { Networks } from "./networks.ts";
import type { PublishedPorts } from "./ports/published-ports.ts";
import type { BridgeNetwork, EndpointRecord, SandboxRecord } from "./record.ts";
import { attachPlan, type End, freshPlan, pooledPlan } from "./sandbox/attach-plan.ts";
import { planUnbind } from "./sandbox/interface-plan.ts";
import type { NamespacePool, ReadyNamespace } from "./sandbox/pool.ts";
import type { Undertaker } from "./sandbox/undertaker.ts";
import { isStill, plainEndpoint, sharesNamespace, withEndpoint, withoutEndpoint } from "./sandbox-request.ts";
import type { NetworkStore } from "./store.ts";

export interface SandboxesParts {
  readonly kernel: Kernel;
  readonly store: NetworkStore;
  readonly networks: Networks;
  readonly bridges: Bridges;
  readonly pool: NamespacePool;
  readonly ports: PublishedPorts;
  readonly rules: HostRules;
  readonly dns: DnsResponder;
  readonly undertaker: Undertaker;
  readonly book: AddressBook & { released(endpoint: EndpointRecord): void };
  readonly execRoot: string;
  readonly log: Log;
  /** Names or addresses have changed. */
  readonly zoneChanged: () => void;
}

const FIRST_DNS_PORT = 32768;
const LAST_DNS_PORT = 60999;

export class Sandboxes {
  readonly #queues = new Map<string, Promise<unknown>>();

  constructor(private readonly parts: SandboxesParts) {}

  connect(request: ConnectRequest, parent?: SpanContext): Promise<SandboxRecord> {
    return this.#inTurn(request.containerId, async () => {
      const before = this.parts.store.sandbox(request.containerId);
      if (before && !request.fresh && isStill(before, request)) return this.#renewed(before, request);
      if (before) await this.#release(before);
      try {
        return await this.#make(request, parent);
      } catch (error) {
        // keel was killed under it: what it was doing has been undone, and another one works already.
        if (codeOf(error) !== "unavailable") throw error;
        return this.#make(request, parent);
      }
    });
  }

  release(containerId: string): Promise<void> {
    return this.#inTurn(containerId, async () => {
      const record = this.parts.store.sandbox(containerId);
      if (record) await this.#release(record);
    });
  }

  connectNetwork(containerId: string, request: EndpointRequest): Promise<SandboxRecord> {
    return this.#inTurn(containerId, async () => {
      const record = this.#get(containerId);
      const network = this.#bridgeOf(request.network);
      if (record.endpoints.some((endpoint) => endpoint.networkId === network.stored.id)) return record;
      if (record.request.sandboxKind !== "private") throw sharesNamespace(record);
      const { names } = record.request;
      const { book } = this.parts;
      const added = chooseEndpoint({ network, request, containerId, names, existing: record.endpoints, book });
      const endpoints = withGateway([...record.endpoints, added]);
      const dnsRedirected = record.dnsRedirected || network.embeddedDns;
      const next = { ...record, endpoints, dnsRedirected, request: withEndpoint(record.request, request) };
      this.#put(next);
      try {
        await this.parts.kernel.run(
          attachPlan({ before: record, after: next, added: this.#end(added, network, record) }),
        );
      } catch (error) {
        this.parts.book.released(added);
        this.parts.undertaker.take({ interfaces: [added.hostInterface] });
        this.#put(record);
        throw error;
      } finally {
        this.parts.bridges.attaching.delete(added.hostInterface);
      }
      return this.#moveGateway(record, next);
    });
  }

  disconnectNetwork(containerId: string, reference: string): Promise<SandboxRecord> {
    return this.#inTurn(containerId, async () => {
      const record = this.#get(containerId);
      const network = this.parts.networks.get(reference);
      const gone = record.endpoints.find((endpoint) => endpoint.networkId === network.id);
      if (!gone)
        throw new HullError("not-found", `container ${containerId} is not connected to network ${network.name}`);
      const endpoints = withGateway(record.endpoints.filter((endpoint) => endpoint !== gone));
      const next = { ...record, endpoints, request: withoutEndpoint(record.request, gone) };
      this.#put(next);
      await this.parts.undertaker.remove([gone.hostInterface]);
      this.parts.book.released(gone);
      const after = await this.#moveGateway(record, next);
      await this.parts.kernel.run(attachPlan({ before: { ...record, endpoints: [] }, after, added: undefined }));
      return after;
    });
  }

  rename(containerId: string, names: Names): void {
    const record = this.parts.store.sandbox(containerId);
    if (!record) return;
    const endpoints = record.endpoints.map((endpoint) =>
      endpoint.dnsNames.length === 0
        ? endpoint
        : { ...endpoint, dnsNames: dnsNames({ names, request: endpoint.request, containerId }) },
    );
    this.#put({ ...record, endpoints, request: { ...record.request, names } });
  }

  async borrowDns(containerId: string, pauseSocket: string): Promise<void> {
    const record = this.#get(containerId);
    if (record.dnsPort === 0) return;
    if (record.pauseSocket !== pauseSocket) this.#put({ ...record, pauseSocket });
    if (record.dnsRedirected) await this.parts.dns.serve(containerId, pauseSocket);
  }

  /** After a start of netd, first of all: what waits in the sockets is answered. */
  async resumeDns(): Promise<void> {
    const { store, dns, log } = this.parts;
    const served = store.sandboxes().filter((one) => one.state === "connected" && one.dnsRedirected && one.pauseSocket);
    const work = served.map(async ({ containerId, pauseSocket }) => {
      await dns.serve(containerId, pauseSocket).catch((error: unknown) => {
        log.warn("a container's DNS sockets are gone", { container: containerId, error: messageOf(error) });
      });
    });
    await Promise.all(work);
  }

  /** What was half done when netd died is undone. */
  async reconcile(): Promise<void> {
    for (const record of this.parts.store.sandboxes()) {
      if (record.state !== "connected") await this.release(record.containerId);
    }
  }

  async #make(request: ConnectRequest, parent: SpanContext | undefined): Promise<SandboxRecord> {
    await this.parts.undertaker.settled(this.#netnsPath(request.containerId));
    const ready =
      request.sandboxKind === "private" && request.endpoints.length > 0 ? await this.parts.pool.take() : undefined;
    let record: SandboxRecord | undefined;
    try {
      record = this.#newRecord(request, ready);
      this.#put(record);
      const [, ports] = await Promise.all([this.#makeNamespace(record, ready, parent), this.#publish(record)]);
      const connected: SandboxRecord = { ...this.#get(record.containerId), ports, state: "connected" };
      this.#put(connected);
      return connected;
    } catch (error) {
      if (ready) this.parts.undertaker.take({ namespaces: [ready.path], interfaces: [ready.hostInterface] });
      const begun = record && this.parts.store.sandbox(record.containerId);
      if (begun) await this.#release(begun);
      throw error;
    }
  }

  #newRecord(request: ConnectRequest, ready: ReadyNamespace | undefined): SandboxRecord {
    const { containerId, names } = request;
    const endpoints: EndpointRecord[] = [];
    for (const asked of request.endpoints) {
      const stored = this.parts.networks.get(asked.network);
      if (stored.driver !== "bridge") {
        endpoints.push(plainEndpoint(stored, asked));
        continue;
      }
      const network = this.#bridgeOf(asked.network);
      const own = endpoints.length === 0 && ready ? { hostInterface: ready.hostInterface } : {};
      endpoints.push(
        chooseEndpoint({
          network,
          request: asked,
          containerId,
          names,
          existing: endpoints,
          book: this.parts.book,
          ...own,
        }),
      );
    }
    const inside = request.sandboxKind !== "host";
    const dnsRedirected = endpoints.some((one) => this.parts.networks.bridge(one.networkId)?.embeddedDns === true);
    return {
      containerId,
      state: "connecting",
      request,
      netnsPath: inside ? this.#netnsPath(containerId) : "",
      endpoints: withGateway(endpoints),
      ports: [],
      dnsPort: request.sandboxKind === "private" ? randomInt(FIRST_DNS_PORT, LAST_DNS_PORT) : 0,
      dnsRedirected,
      pauseSocket: "",
    };
  }

  async #makeNamespace(
    record: SandboxRecord,
    ready: ReadyNamespace | undefined,
    parent: SpanContext | undefined,
  ): Promise<void> {
    if (record.netnsPath === "") return;
    const ends = record.endpoints.flatMap((endpoint) => {
      const network = this.parts.networks.bridge(endpoint.networkId);
      return network ? [this.#end(endpoint, network, record)] : [];
    });
    const plan = ready ? pooledPlan(record, ready.path, ends) : freshPlan(record);
    await this.parts.kernel.run(plan, { parent });
    // The name in the pool goes after the answer: unmounting waits for the kernel's readers.
    if (ready) this.#later(planUnbind(ready.path));
  }

  #netnsPath(containerId: string): string {
    return join(this.parts.execRoot, "netns", containerId);
  }

  async #publish(record: SandboxRecord): Promise<SandboxRecord["ports"]> {
    const gateway = record.endpoints.find((endpoint) => endpoint.isGateway);
    const network = gateway && this.parts.networks.bridge(gateway.networkId);
    const { ports: asked, names, containerId } = record.request;
    if (asked.length === 0 || !gateway || !network) return [];
    const ports = await this.parts.ports.publish({
      containerId,
      endpoint: { name: names.name, id: gateway.endpointId },
      ports: asked,
      targetIp: gateway.ip || gateway.ip6,
      defaultHostIp: network.hostBinding === "0.0.0.0" ? "" : network.hostBinding,
    });
    this.#put({ ...this.#get(containerId), ports });
    await this.parts.rules.sync();
    void forgetUdpFlows(this.parts.kernel, ports, this.parts.log);
    return ports;
  }

  async #release(record: SandboxRecord): Promise<void> {
    const { store, ports, rules, dns, undertaker, book } = this.parts;
    const leaving: SandboxRecord = { ...record, state: "releasing" };
    this.parts.store.leaveSandbox(leaving);
    this.parts.zoneChanged();
    for (const endpoint of record.endpoints) book.released(endpoint);
    await dns.stop(record.containerId);
    if (record.ports.length > 0) {
      await ports.withdraw(record.ports).catch((error: unknown) => {
        this.parts.log.warn("published ports could not be let go", { error: messageOf(error) });
      });
      // Taking rules away costs 10 ms a table; whoever publishes next waits in the same queue, so nobody else has to.
      const gone = rules.sync().then(() => forgetUdpFlows(this.parts.kernel, record.ports, this.parts.log));
      gone.catch((error: unknown) => {
        this.parts.log.error("rules of a released container stay for now", { error: messageOf(error) });
      });
    }
    const interfaces = record.endpoints.map((endpoint) => endpoint.hostInterface).filter((name) => name !== "");
    undertaker.take({ namespaces: record.netnsPath === "" ? [] : [record.netnsPath], interfaces }, () => {
      // A connect in the meantime has its own record.
      if (store.sandbox(record.containerId) === leaving) store.deleteSandbox(record.containerId);
    });
  }

  /** The default route, and with it the published ports, goes to another endpoint. */
  async #moveGateway(before: SandboxRecord, after: SandboxRecord): Promise<SandboxRecord> {
    const target = (record: SandboxRecord): string => record.endpoints.find((one) => one.isGateway)?.endpointId ?? "";
    if (target(before) === target(after) || before.request.ports.length === 0) return after;
    await this.parts.ports.withdraw(before.ports);
    this.#put({ ...after, ports: [] });
    const ports = await this.#publish({ ...after, ports: [] });
    if (ports.length === 0) await this.parts.rules.sync();
    const moved = { ...after, ports };
    this.#put(moved);
    return moved;
  }

  /** A restart: what stands outside the namespace may have new values. */
  #renewed(before: SandboxRecord, request: ConnectRequest): SandboxRecord {
    const { fresh: _, ...rest } = request;
    this.#put({ ...before, request: rest });
    this.rename(request.containerId, request.names);
    return this.#get(request.containerId);
  }

  #later(plan: readonly Operation[]): void {
    setImmediate(() => {
      again(() => this.parts.kernel.run(plan)).catch((error: unknown) => {
        this.parts.log.warn("clean-up after a start", { error: messageOf(error) });
      });
    });
  }

  #bridgeOf(reference: string): BridgeNetwork {
    const stored = this.parts.networks.get(reference);
    const network = this.parts.networks.bridge(stored.id);
    if (network) return network;
    throw new HullError("permission-denied", `container cannot be connected to ${stored.name} network`);
  }

  #end(endpoint: EndpointRecord, network: BridgeNetwork, record: SandboxRecord): End {
    const bridgeIndex = this.parts.bridges.indexOf(network);
    const publishes = record.request.ports.length > 0;
    if (bridgeIndex !== undefined)
      return { endpoint, network, bridgeIndex, publishes, group: this.parts.bridges.mark.group };
    throw new HullError("unavailable", `bridge ${network.bridge} of network ${network.stored.name} is not there`);
  }

  #get(containerId: string): SandboxRecord {
    const record = this.parts.store.sandbox(containerId);
    if (record && record.state !== "releasing") return record;
    throw new HullError("not-found", `container ${containerId} has no network sandbox`);
  }

  #put(record: SandboxRecord): void {
    this.parts.store.putSandbox(record);
    this.parts.zoneChanged();
  }

  #inTurn<T>(containerId: string, work: () => Promise<T>): Promise<T> {
    const before = this.#queues.get(containerId) ?? Promise.resolve();
    const result = before.then(work, work);
    const settled = result.catch(() => {});
    this.#queues.set(containerId, settled);
    void settled.then(() => {
      if (this.#queues.get(containerId) === settled) this.#queues.delete(containerId);
    });
    return result;
  }
}
