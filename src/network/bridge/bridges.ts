/**
 * The bridge interfaces of our networks.
 *
 * Lifecycle: `ensure` makes it, or makes it right again (after someone deleted or lowered it, with the ports of connected
 * containers put back) -> `indexOf` for those who attach to it -> `remove`.
 */
import { createHash } from "node:crypto";
import { type Operation, operation } from "../../keel/plan.ts";
import { type EngineMark, ownerOf } from "../engine-mark.ts";
import type { Address } from "../ipam/prefix.ts";
import type { Kernel } from "../kernel.ts";
import { addAddress, type InterfaceAddress } from "../netlink/address.ts";
import { changeBridgePort, changeLink, createBridge, deleteLink, type Link } from "../netlink/link.ts";
import { encodeMessages, type MessageInput, NETLINK_ROUTE } from "../netlink/message.ts";
import type { BridgeNetwork, EndpointRecord } from "../record.ts";
import { netlink, portSettings } from "../sandbox/interface-plan.ts";
import { localMac } from "../sandbox/pool.ts";
import { belongsToAnother } from "./bridge-choice.ts";
import { type HostView, viewHost } from "./host-view.ts";

const mayLack = ["ENOENT", "EROFS", "EACCES", "EPERM"] as const;

export class Bridges {
  readonly #indexes = new Map<string, number>();
  /** Host's ends that are being attached live: theirs is not a case for repair. */
  readonly attaching = new Set<string>();

  constructor(
    private readonly kernel: Kernel,
    readonly mark: EngineMark,
  ) {}

  indexOf(network: BridgeNetwork): number | undefined {
    return this.#indexes.get(network.bridge);
  }

  /** An interface of this index was made or found here. */
  hasIndex(index: number): boolean {
    return [...this.#indexes.values()].includes(index);
  }

  /**
   * What had to be done, as texts; nothing when all was there. `endpoints` are those connected to this network. Throws conflict when
   * another engine has an interface of this name.
   */
  async ensure(network: BridgeNetwork, endpoints: readonly EndpointRecord[], view?: HostView): Promise<string[]> {
    const done: string[] = [];
    let now = view ?? (await viewHost(this.kernel));
    let link = now.links.find((candidate) => candidate.name === network.bridge);
    if (!link) {
      await this.kernel.run([this.#create(network)]);
      done.push(`bridge ${network.bridge}`);
      now = await viewHost(this.kernel);
      link = now.links.find((candidate) => candidate.name === network.bridge);
    }
    if (!link) throw new Error(`bridge ${network.bridge} was deleted while it was made`);
    if (ownerOf(link, this.mark) === "another") throw belongsToAnother(link);
    this.#indexes.set(network.bridge, link.index);
    const strays = this.#ports(network, endpoints, { link, view: now });
    // What was on its way when the look was taken may have arrived: only what is still missing is a case for repair.
    const ports =
      strays.length === 0 ? [] : this.#ports(network, endpoints, { link, view: await viewHost(this.kernel) });
    const repair = [...this.#settings(network, link, now), ...ports];
    if (done.length === 0) done.push(...repair.map(({ subject }) => subject));
    if (repair.length > 0) await this.kernel.run([...sysctls(network), ...repair]);
    return done;
  }

  /** What was there before us stays, as it was; another engine's is left alone. */
  async remove(network: BridgeNetwork): Promise<void> {
    this.#indexes.delete(network.bridge);
    const { links } = await viewHost(this.kernel);
    const link = links.find((one) => one.name === network.bridge && ownerOf(one, this.mark) === "ours");
    if (!link) return;
    const { found, name } = network.stored;
    await this.#remove([found ? changeLink({ index: link.index }, found) : deleteLink(link.name)], `network ${name}`);
  }

  /** Bridges that engines left whose root is gone. */
  async removeAbandoned(links: readonly Link[]): Promise<void> {
    if (links.length > 0)
      await this.#remove(
        links.map((link) => deleteLink(link.name)),
        "what another engine left",
      );
  }

  async #remove(messages: readonly MessageInput[], cause: string): Promise<void> {
    const one = (message: MessageInput): Operation =>
      operation(
        "netlink",
        { protocol: NETLINK_ROUTE, messages: encodeMessages([message]) },
        { tolerate: ["ENODEV"], cause },
      );
    await this.kernel.run(messages.map(one));
  }

  #create(network: BridgeNetwork): Operation {
    const bridge = { name: network.bridge, mac: macOf(network), mtu: network.mtu, group: this.mark.group };
    return operation(
      "netlink",
      { protocol: NETLINK_ROUTE, messages: encodeMessages([createBridge(bridge)]) },
      { tolerate: ["EEXIST"], cause: `network ${network.stored.name}`, subject: network.bridge },
    );
  }

  /** Addresses and state that the interface lacks. */
  #settings(network: BridgeNetwork, link: Link, view: HostView): Operation[] {
    const wanted =
      network.mode === "isolated" ? [] : [network.subnet4, network.subnet6].filter((one) => one !== undefined);
    const missing = wanted
      .map((subnet) => ({ index: link.index, address: subnet.gateway, prefixLength: subnet.prefix.bits }))
      .filter((address) => !hasAddress(view, address));
    const cause = `network ${network.stored.name}`;
    const list = missing.map((address) => ({
      ...netlink([addAddress(address)], cause),
      subject: `address of ${network.bridge}`,
    }));
    const { group, alias } = this.mark;
    if (link.group !== group || link.alias === "")
      list.push({
        ...netlink([changeLink({ index: link.index }, { group, ...(link.alias === "" ? { alias } : {}) })], cause),
        subject: `mark of ${network.bridge}`,
      });
    if (!link.up)
      list.push({
        ...netlink([changeLink({ index: link.index }, { up: true })], cause),
        subject: `state of ${network.bridge}`,
      });
    return list;
  }

  /** The host's ends of connected containers that are not on the bridge. */
  #ports(
    network: BridgeNetwork,
    endpoints: readonly EndpointRecord[],
    now: { readonly link: Link; readonly view: HostView },
  ): Operation[] {
    const list: Operation[] = [];
    for (const endpoint of endpoints) {
      const end = now.view.links.find((candidate) => candidate.name === endpoint.hostInterface);
      if (!end || this.attaching.has(end.name) || (end.master === now.link.index && end.up)) continue;
      const messages = [changeLink({ index: end.index }, { master: now.link.index, up: true })];
      messages.push(changeBridgePort(end.name, portSettings(network, true)));
      list.push({
        ...netlink(messages, `network ${network.stored.name}`),
        subject: `port ${end.name} of ${network.bridge}`,
      });
    }
    return list;
  }
}

/** Always the same: containers know it as their gateway's, also of a bridge that was deleted and made again. */
const macOf = ({ stored }: BridgeNetwork): string =>
  localMac(createHash("sha256").update(stored.id).digest().subarray(0, 6));

function hasAddress(view: HostView, wanted: InterfaceAddress): boolean {
  const same = (a: Address, b: Address): boolean => a.family === b.family && a.value === b.value;
  return view.addresses.some((one) => one.index === wanted.index && same(one.address, wanted.address));
}

/** Published ports on the loopback address need route_localnet; the raw rules keep containers from using it. */
function sysctls(network: BridgeNetwork): Operation[] {
  const set = (name: string, value: string): Operation =>
    operation("sysctl", { name, value }, { tolerate: mayLack, cause: `network ${network.stored.name}` });
  const v4 = network.subnet4 ? [set(`net/ipv4/conf/${network.bridge}/route_localnet`, "1")] : [];
  const v6 = network.subnet6
    ? [
        // While its link-local address waits for duplicates to be found, the bridge asks for no neighbour: nothing is forwarded.
        set(`net/ipv6/conf/${network.bridge}/accept_dad`, "0"),
        set(`net/ipv6/conf/${network.bridge}/disable_ipv6`, "0"),
      ]
    : [];
  return [...v4, set(`net/ipv6/conf/${network.bridge}/accept_ra`, "0"), ...v6];
}
