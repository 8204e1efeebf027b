/**
 * hull-netd put together: the parts and what connects them.
 *
 * Lifecycle: `start` reconciles what is recorded with what the kernel has (DNS first: queries may be waiting) and comes up ->
 * `ensureUp` before anything that needs the host's side -> `standDown` takes everything away when no container is connected ->
 * `stop` ends the process's own work and leaves the kernel's state.
 */
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { KeelServe } from "../keel/serve.ts";
import type { Log } from "../platform/log.ts";
import { StoredAddressBook } from "./address-book.ts";
import { Bridges } from "./bridge/bridges.ts";
import { viewHost } from "./bridge/host-view.ts";
import { keepsSingleLabels } from "./dns/resolv-conf.ts";
import { DnsResponder } from "./dns/responder.ts";
import { Zone } from "./dns/zone.ts";
import { doomedGroup, type EngineMark, openEngineMark, ownerOf } from "./engine-mark.ts";
import { EventStream } from "./event-stream.ts";
import { chosenFirewalls, passingFirewalls, retiredFirewalls } from "./firewall/backends.ts";
import { usesLegacyTables } from "./firewall/legacy.ts";
import { type Family, subnetOf } from "./firewall/model.ts";
import { ensureForwarding, type ForwardingParts, undoForwarding } from "./forwarding.ts";
import { readHostServers } from "./host-resolv.ts";
import { type FormerNetwork, HostRules } from "./host-rules.ts";
import type { DnsQuestion, Kernel } from "./kernel.ts";
import { Networks } from "./networks.ts";
import { PublishedPorts } from "./ports/published-ports.ts";
import { NamespacePool, POOL_PREFIX } from "./sandbox/pool.ts";
import { Undertaker } from "./sandbox/undertaker.ts";
import { Sandboxes } from "./sandboxes.ts";
import type { NetworkSettings } from "./settings.ts";
import { NetworkStore } from "./store.ts";
import { Watcher } from "./watcher.ts";

/** Of many repairs at once a few say enough. */
const MOST_TOLD = 5;

export class Netd {
  readonly store: NetworkStore;
  readonly networks: Networks;
  readonly sandboxes: Sandboxes;
  readonly rules: HostRules;
  readonly pool: NamespacePool;
  readonly events = new EventStream();
  readonly book: StoredAddressBook;
  repairs = 0;
  readonly #bridges: Bridges;
  readonly #ports: PublishedPorts;
  readonly #dns: DnsResponder;
  readonly #undertaker: Undertaker;
  readonly #watcher: Watcher;
  readonly #mark: EngineMark;
  #zone: Zone | undefined;
  #forwardingDegraded = new Map<Family, string>();
  #up: Promise<void> | undefined;

  constructor(
    readonly settings: NetworkSettings,
    private readonly kernel: Kernel,
    private readonly log: Log,
  ) {
    const { execRoot } = settings;
    this.#mark = openEngineMark(execRoot);
    const netnsDirectory = join(execRoot, "netns");
    mkdirSync(netnsDirectory, { recursive: true, mode: 0o755 });
    this.store = new NetworkStore(settings);
    this.book = new StoredAddressBook(this.store);
    this.#bridges = new Bridges(kernel, this.#mark);
    this.#ports = new PublishedPorts(kernel, execRoot, log);
    this.#undertaker = new Undertaker(kernel, doomedGroup(this.#mark.group), log);
    this.pool = new NamespacePool({
      kernel,
      directory: netnsDirectory,
      size: settings.poolSize,
      group: this.#mark.group,
      log,
    });
    const changed = async (gone: readonly FormerNetwork[] = []): Promise<void> => {
      this.#zone = undefined;
      await this.rules.sync(gone);
      if (gone.length === 0) await this.#forward();
      this.events.publish({ kind: "networks", atMs: Date.now() });
    };
    this.networks = new Networks({ kernel, store: this.store, bridges: this.#bridges, settings, log, changed });
    this.rules = this.#hostRules();
    this.#dns = this.#responder();
    this.sandboxes = new Sandboxes({
      kernel,
      store: this.store,
      networks: this.networks,
      bridges: this.#bridges,
      pool: this.pool,
      ports: this.#ports,
      rules: this.rules,
      dns: this.#dns,
      undertaker: this.#undertaker,
      book: this.book,
      execRoot,
      log,
      zoneChanged: () => {
        this.#zone = undefined;
      },
    });
    this.#watcher = this.#newWatcher();
  }

  get degraded(): readonly string[] {
    return [...this.rules.degraded, ...this.#forwardingDegraded.values()];
  }

  async start(): Promise<void> {
    this.networks.load();
    await this.sandboxes.resumeDns();
    await this.rules.start();
    await this.ensureUp();
    await this.sandboxes.reconcile();
    await this.#removeOrphans();
    await this.#ports.reconcile(this.store.sandboxes().flatMap((sandbox) => sandbox.ports));
  }

  /** The host's side is there: bridges, rules, forwarding. */
  ensureUp(): Promise<void> {
    this.#up ??= this.#comeUp().catch((error: unknown) => {
      this.#up = undefined;
      throw error;
    });
    return this.#up;
  }

  /** False: containers are connected, everything stays. */
  async standDown(): Promise<boolean> {
    if (this.store.sandboxes().some((sandbox) => sandbox.state !== "releasing")) return false;
    await this.#up;
    this.#up = undefined;
    this.#watcher.stop();
    await this.pool.drain();
    await this.#undertaker.idle();
    const ruled = await this.rules.standDown();
    const { links } = await viewHost(this.kernel);
    const othersLeft = ruled || links.some((link) => ownerOf(link, this.#mark) === "another");
    await this.networks.standDown();
    if (!othersLeft) await undoForwarding(this.#forwardingParts());
    await this.#ports.quit();
    return true;
  }

  /** Kernel state, ports and containers stay as they are; the pool of this process does not. */
  async stop(): Promise<void> {
    this.#watcher.stop();
    await this.pool.drain();
    await this.#undertaker.idle();
    this.#ports.close();
  }

  question(question: DnsQuestion): void {
    this.#dns.question(question);
  }

  netlink(watchId: number, messages: Buffer): void {
    this.#watcher.notice(watchId, messages);
  }

  /** keel has been started anew. */
  async resume(): Promise<void> {
    await this.#dns.resume();
    await this.#watcher.resume();
  }

  async #comeUp(): Promise<void> {
    await this.networks.start();
    await this.rules.sync();
    await this.#forward();
    await this.#watcher.start();
    this.pool.reopen();
    setImmediate(() => void this.pool.fill());
  }

  /** IPv6 only once a network has it: a host that forwards takes no router advertisements. */
  async #forward(): Promise<void> {
    if (!this.settings.ipForward) return;
    const all = this.networks.all();
    for (const family of [4, 6] as const) {
      if (!all.some((network) => subnetOf(network, family) !== undefined && !network.stored.internal)) continue;
      const degraded = await ensureForwarding(family, this.#forwardingParts());
      if (degraded === undefined) this.#forwardingDegraded.delete(family);
      else this.#forwardingDegraded.set(family, degraded);
    }
  }

  #forwardingParts(): ForwardingParts {
    return { kernel: this.kernel, log: this.log, firewalls: (family) => this.rules.firewallsOf(family) };
  }

  #hostRules(): HostRules {
    const backend = { kernel: this.kernel, settings: this.settings, mark: this.#mark, log: this.log };
    return new HostRules({
      firewalls: chosenFirewalls(backend),
      passing: () => passingFirewalls(backend),
      retired: retiredFirewalls(backend),
      masquerade: this.settings.ipMasq,
      log: this.log,
      networks: () => this.networks.all(),
      sandboxes: () => this.store.sandboxes(),
    });
  }

  #responder(): DnsResponder {
    return new DnsResponder({
      kernel: this.kernel,
      log: this.log,
      zone: () => {
        this.#zone ??= new Zone(
          this.networks.all().map(({ stored, embeddedDns }) => ({ id: stored.id, name: stored.name, embeddedDns })),
          this.store.sandboxes().filter((sandbox) => sandbox.state !== "releasing"),
        );
        return this.#zone;
      },
      client: (containerId) => {
        const sandbox = this.store.sandbox(containerId);
        if (!sandbox) return undefined;
        const { dns } = sandbox.request;
        return {
          containerId,
          servers: dns?.servers?.length ? dns.servers : (this.settings.dns.servers ?? []),
          isolated: sandbox.endpoints.every((one) => this.networks.bridge(one.networkId)?.stored.internal === true),
          keepSingleLabels: keepsSingleLabels(dns?.options ?? []),
        };
      },
      hostServers: readHostServers,
    });
  }

  #newWatcher(): Watcher {
    return new Watcher({
      kernel: this.kernel,
      log: this.log,
      isOurBridge: (link) =>
        "name" in link
          ? this.networks.all().some((network) => network.bridge === link.name)
          : this.#bridges.hasIndex(link.index),
      group: this.#mark.group,
      takeOwnCommits: () => this.rules.takeOwnCommits(),
      isChangingRules: () => this.rules.busy,
      healRules: () => this.rules.heal(),
      healLinks: () => this.networks.heal(),
      pollsRules: this.settings.firewallBackend === "iptables" && usesLegacyTables(),
      repaired: (what, offender) => {
        this.repairs++;
        const told = [...what.slice(0, MOST_TOLD), ...(what.length > MOST_TOLD ? [`${what.length} in all`] : [])].join(
          "; ",
        );
        this.log.warn("put back what was missing", { what: told, offender });
        this.events.publish({ kind: "heal", what: told, offender, atMs: Date.now() });
      },
      backedOff: (offender) => {
        const what = `${offender || "something"} keeps changing firewall rules or interfaces of ours; repairs pause for 30 s`;
        this.log.error(what);
        this.events.publish({ kind: "degraded", what, atMs: Date.now() });
      },
    });
  }

  /** What an earlier process left: its pool, interfaces that no record names. */
  async #removeOrphans(): Promise<void> {
    const directory = join(this.settings.execRoot, "netns");
    const known = new Set(this.store.sandboxes().map((sandbox) => sandbox.containerId));
    const mine = new Set(this.pool.entries.map(({ path }) => path));
    const namespaces = readdirSync(directory)
      .filter((name) => (name.startsWith(POOL_PREFIX) ? !mine.has(join(directory, name)) : !known.has(name)))
      .map((name) => join(directory, name));
    const ends = new Set(
      this.store.sandboxes().flatMap((sandbox) => sandbox.endpoints.map((one) => one.hostInterface)),
    );
    const { links } = await viewHost(this.kernel);
    const groups = [this.#mark.group, doomedGroup(this.#mark.group)];
    const ready = new Set(this.pool.entries.map(({ hostInterface }) => hostInterface));
    const interfaces = links
      .filter(
        (link) => link.kind === "veth" && groups.includes(link.group) && !ends.has(link.name) && !ready.has(link.name),
      )
      .map((link) => link.name);
    if (namespaces.length + interfaces.length === 0) return;
    this.log.info("removing what an earlier process left", {
      namespaces: namespaces.length,
      interfaces: interfaces.length,
    });
    this.#undertaker.take({ namespaces, interfaces });
  }
}

/** keel as netd's kernel: the same calls. */
export const kernelOf = (keel: KeelServe): Kernel => keel;
