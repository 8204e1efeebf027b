/**
 * The host's firewall as netd sees it: what networks and published ports need goes in, what others break is put back.
 *
 * Lifecycle: `start` finds out what this host can do -> `sync` after each change -> `heal` when the kernel says that rules changed, and
 * as a check -> `standDown`.
 */
import { during, messageOf } from "../platform/errors.ts";
import type { Log } from "../platform/log.ts";
import type { Firewall, FirewallState } from "./firewall/firewall.ts";
import type { Family, PortForward } from "./firewall/model.ts";
import { formatPrefix, type Prefix } from "./ipam/prefix.ts";
import type { BridgeNetwork, SandboxRecord } from "./record.ts";

/** A network whose rules are to go. */
export interface FormerNetwork {
  readonly bridge: string;
  readonly subnets: readonly Prefix[];
}

export interface HostRulesParts {
  readonly firewalls: readonly Firewall[];
  /** What the chosen ones need beside them on this host. */
  readonly passing: () => Promise<readonly Firewall[]>;
  /** Their rules of an earlier start go. */
  readonly retired: readonly Firewall[];
  readonly masquerade: boolean;
  readonly log: Log;
  networks(): readonly BridgeNetwork[];
  sandboxes(): readonly SandboxRecord[];
}

export class HostRules {
  #usable: Firewall[] = [];
  #degraded: string[] = [];
  #isRetired = false;
  /** Networks that have or had rules, also those removed a moment ago. */
  #former: FormerNetwork[] = [];

  constructor(private readonly parts: HostRulesParts) {}

  get degraded(): readonly string[] {
    return this.#degraded;
  }

  get usable(): boolean {
    return this.#usable.length > 0;
  }

  /** The chosen one first. */
  firewallsOf(family: Family): readonly Firewall[] {
    return this.#usable.filter((firewall) => firewall.family === family);
  }

  async start(): Promise<void> {
    const results = await Promise.all(
      this.parts.firewalls.map(async (firewall) => ({ firewall, lacks: await firewall.probe() })),
    );
    const able = results.filter(({ lacks }) => lacks === undefined).map(({ firewall }) => firewall);
    this.#usable = [...able, ...(able.length > 0 ? await this.parts.passing() : [])];
    this.#degraded = results
      .filter(({ lacks }) => lacks !== undefined)
      .map(
        ({ firewall, lacks }) =>
          `no IPv${firewall.family} NAT: ${lacks}; published ports are relayed, containers reach the host only`,
      );
    for (const sentence of this.#degraded) this.parts.log.warn(sentence);
  }

  /** Resolves when the kernel has what is wanted now. `gone`: networks of an earlier time, of whose rules this process knows nothing. */
  async sync(gone: readonly FormerNetwork[] = []): Promise<void> {
    for (const network of [...this.parts.networks().map(formerly), ...gone]) this.#remember(network);
    await this.#retire();
    await this.#want();
    if (gone.length > 0) await this.heal();
    // Their rules are gone: from now on somebody else may use these names and addresses.
    const present = new Set(this.parts.networks().map((network) => key(formerly(network))));
    const left = this.#former.filter((one) => present.has(key(one)));
    if (left.length === this.#former.length) return;
    this.#former = left;
    await this.#want();
  }

  /** What had to be repaired. */
  async heal(): Promise<string[]> {
    const repaired = await Promise.all(
      this.#usable.map((firewall) =>
        firewall.verify().catch((error: unknown) => {
          this.parts.log.error("the firewall could not be repaired", { error: messageOf(error) });
          return [];
        }),
      ),
    );
    return repaired.flat();
  }

  /** True: other engines still have rules here. */
  async standDown(): Promise<boolean> {
    let othersLeft = false;
    for (const firewall of this.#usable) {
      try {
        othersLeft = (await firewall.tearDown()) || othersLeft;
      } catch (error) {
        throw during("take the firewall rules away", error);
      }
    }
    return othersLeft;
  }

  takeOwnCommits(): number {
    return this.#usable.reduce((sum, firewall) => sum + firewall.takeOwnCommits(), 0);
  }

  get busy(): boolean {
    return this.#usable.some((firewall) => firewall.busy);
  }

  #remember(network: FormerNetwork): void {
    if (!this.#former.some((one) => key(one) === key(network))) this.#former.push(network);
  }

  /** Once. What names networks of ours is ours, whoever wrote it. */
  async #retire(): Promise<void> {
    const { input, ownership } = this.#state();
    const empty = { input: { ...input, networks: [], forwards: [] }, ownership };
    const retiring = this.#isRetired ? [] : this.parts.retired;
    this.#isRetired = true;
    await Promise.all(
      retiring.map(async (firewall) => {
        try {
          await firewall.want(empty);
          await firewall.tearDown();
        } catch (error) {
          this.parts.log.debug("rules of another backend cannot be looked for", { error: messageOf(error) });
        }
      }),
    );
  }

  async #want(): Promise<void> {
    await Promise.all(this.#usable.map((firewall) => firewall.want(this.#state())));
  }

  #state(): FirewallState {
    const input = {
      networks: this.parts.networks(),
      forwards: this.#forwards(),
      masquerade: this.parts.masquerade,
    };
    return {
      input,
      ownership: {
        bridges: new Set(this.#former.map((one) => one.bridge)),
        subnets: this.#former.flatMap((one) => one.subnets),
      },
    };
  }

  #forwards(): PortForward[] {
    const networks = new Map(this.parts.networks().map((network) => [network.stored.id, network]));
    return this.parts
      .sandboxes()
      .flatMap((sandbox) => (sandbox.state === "releasing" ? [] : forwardsOf(sandbox, networks)));
  }
}

const key = ({ bridge, subnets }: FormerNetwork): string => [bridge, ...subnets.map(formatPrefix)].join(" ");

/** By what the rules of a network are known. */
export const formerly = ({ bridge, subnet4, subnet6 }: BridgeNetwork): FormerNetwork => ({
  bridge,
  subnets: [subnet4, subnet6].flatMap((subnet) => (subnet ? [subnet.prefix] : [])),
});

const wildcards = ["0.0.0.0", "::"];

/** A port whose host address and container address are of different families is relayed, not forwarded. */
export function forwardsOf(sandbox: SandboxRecord, networks: ReadonlyMap<string, BridgeNetwork>): PortForward[] {
  const gateway = sandbox.endpoints.find((endpoint) => endpoint.isGateway);
  const network = gateway && networks.get(gateway.networkId);
  if (!gateway || !network) return [];
  return sandbox.ports.flatMap((port) => {
    const family = port.hostIp.includes(":") ? 6 : 4;
    const containerIp = family === 4 ? gateway.ip : gateway.ip6;
    if (!containerIp) return [];
    const hostIp = wildcards.includes(port.hostIp) ? "" : port.hostIp;
    const { proto, containerPort, hostPort } = port;
    return [{ network, family, proto, containerIp, containerPort, hostIp, hostPort }];
  });
}
