/**
 * The embedded DNS: answers what containers ask at 127.0.0.11, of itself or by the name servers of the container or the host.
 *
 * Lifecycle: `serve` for each sandbox with DNS (again after netd or keel came back: what waited in the sockets is answered then) ->
 * `question` for each datagram keel passes on -> `stop`.
 */
import { codeOf, messageOf } from "../../platform/errors.ts";
import type { Log } from "../../platform/log.ts";
import type { DnsQuestion, Kernel } from "../kernel.ts";
import { decide, failure } from "./answer.ts";
import { askUpstream, type Server } from "./upstream.ts";
import type { Zone } from "./zone.ts";

/** What the answers to one container depend on besides the zone. */
export interface DnsClient {
  readonly containerId: string;
  /** Name servers of its own (--dns); the host's when there are none. */
  readonly servers: readonly string[];
  /** Only on internal networks: nothing is asked outside. */
  readonly isolated: boolean;
  /** Single-label names are not asked outside: the user set ndots above 0. */
  readonly keepSingleLabels: boolean;
}

export interface ResponderPorts {
  readonly kernel: Kernel;
  readonly log: Log;
  zone(): Zone;
  client(containerId: string): DnsClient | undefined;
  /** Name servers of the host, now. */
  hostServers(): readonly string[];
}

const MAX_IN_FLIGHT = 1024;
const DNS_PORT = 53;

export class DnsResponder {
  readonly #relays = new Map<string, { readonly id: number; readonly pauseSocket: string }>();
  readonly #containers = new Map<number, string>();
  #nextId = 1;
  #inFlight = 0;

  constructor(private readonly ports: ResponderPorts) {}

  /** Throws `unavailable` when the pause is not there. */
  async serve(containerId: string, pauseSocket: string): Promise<void> {
    const known = this.#relays.get(containerId);
    if (known?.pauseSocket === pauseSocket) return;
    if (known) await this.stop(containerId);
    const id = this.#nextId++;
    this.#relays.set(containerId, { id, pauseSocket });
    this.#containers.set(id, containerId);
    try {
      await this.ports.kernel.relay(id, pauseSocket);
    } catch (error) {
      // keel was killed: its successor is asked again by resume, which may have happened already.
      if (codeOf(error) !== "unavailable") {
        this.#relays.delete(containerId);
        this.#containers.delete(id);
      }
      throw error;
    }
  }

  async stop(containerId: string): Promise<void> {
    const relay = this.#relays.get(containerId);
    if (!relay) return;
    this.#relays.delete(containerId);
    this.#containers.delete(relay.id);
    await this.ports.kernel.unrelay(relay.id).catch((error: unknown) => {
      this.ports.log.debug("relay of DNS has gone already", { container: containerId, error: messageOf(error) });
    });
  }

  /** keel has been started anew and knows no relay any more. */
  async resume(): Promise<void> {
    const all = [...this.#relays];
    this.#relays.clear();
    this.#containers.clear();
    const results = await Promise.allSettled(all.map(([id, { pauseSocket }]) => this.serve(id, pauseSocket)));
    const failed = results.filter((result) => result.status === "rejected").length;
    if (failed > 0) this.ports.log.warn("some containers have no DNS any more", { failed });
  }

  question(question: DnsQuestion): void {
    const containerId = this.#containers.get(question.relayId);
    if (containerId === undefined) return;
    const { payload, isTcp } = question;
    const decision = decide({ bytes: payload, isTcp, containerId }, this.ports.zone());
    if (decision.kind === "answer") this.ports.kernel.answer(question, decision.bytes);
    if (decision.kind !== "forward") return;
    void this.#forward(question, containerId, decision.query).catch((error: unknown) => {
      this.ports.log.warn("a DNS query could not be forwarded", { container: containerId, error: messageOf(error) });
    });
  }

  async #forward(question: DnsQuestion, containerId: string, query: Parameters<typeof failure>[0]): Promise<void> {
    const reply = (bytes: Buffer): void => this.ports.kernel.answer(question, bytes);
    const client = this.ports.client(containerId);
    const name = query.questions?.[0]?.name ?? "";
    if (!client || (client.keepSingleLabels && !name.includes("."))) return reply(failure(query, "servfail"));
    if (this.#inFlight >= MAX_IN_FLIGHT) return reply(failure(query, "refused"));
    this.#inFlight++;
    try {
      const answer = await askUpstream(question.payload, this.#serversOf(client), question.isTcp);
      reply(answer ?? failure(query, "servfail"));
    } finally {
      this.#inFlight--;
    }
  }

  #serversOf(client: DnsClient): Server[] {
    if (client.isolated) return [];
    const addresses = client.servers.length > 0 ? client.servers : this.ports.hostServers();
    return addresses.map((address) => ({ address, port: DNS_PORT }));
  }
}
