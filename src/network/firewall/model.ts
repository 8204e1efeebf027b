/**
 * Which rules the networks and their published ports need: a pure function to a list that both backends render. Layout and order
 * are Docker's, so that people and programs that read `iptables -S` find what they know; the texts are in the form that
 * iptables-save prints, so that what is wanted and what is there compare as strings.
 */
import { formatPrefix } from "../ipam/prefix.ts";
import type { BridgeNetwork, Subnet } from "../record.ts";

export type Family = 4 | 6;
export type Table = "filter" | "nat" | "raw";

/** A published port that NAT serves. */
export interface PortForward {
  readonly network: BridgeNetwork;
  readonly family: Family;
  readonly proto: "tcp" | "udp";
  /** Of the container; IPv6 without brackets. */
  readonly containerIp: string;
  readonly containerPort: number;
  /** Empty: every address. */
  readonly hostIp: string;
  readonly hostPort: number;
}

export interface Rule {
  readonly family: Family;
  readonly table: Table;
  readonly chain: string;
  readonly text: string;
  /** top: before what is there; bottom: after it. */
  readonly place: "top" | "bottom";
  /** Carries no bridge or address of ours: other engines on this machine use the very same rule. */
  readonly shared: boolean;
}

/** Chains of ours (and of other engines) by table; created when missing, in this order. */
export const chains: Readonly<Record<Table, readonly string[]>> = {
  filter: ["DOCKER", "DOCKER-BRIDGE", "DOCKER-CT", "DOCKER-INTERNAL", "DOCKER-FORWARD", "DOCKER-USER"],
  nat: ["DOCKER", "HULL-LOCAL"],
  raw: [],
};

/** Built-in chains that rules of ours stand in. */
export const builtInChains: Readonly<Record<Table, readonly string[]>> = {
  filter: ["FORWARD"],
  nat: ["PREROUTING", "OUTPUT", "POSTROUTING"],
  raw: ["PREROUTING"],
};

export interface FirewallInput {
  readonly networks: readonly BridgeNetwork[];
  readonly forwards: readonly PortForward[];
  /** Bridges whose users may masquerade (the daemon's --ip-masq). */
  readonly masquerade: boolean;
}

/** Everything of one family, in the order in which a fresh host gets it. */
export function firewallRules(family: Family, input: FirewallInput): Rule[] {
  const networks = input.networks.filter((network) => subnetOf(network, family) !== undefined);
  if (networks.length === 0) return [];
  const rules = new RuleList(family);
  addShared(rules, family);
  for (const network of networks) networkRules(rules, network, { family, masquerade: input.masquerade });
  for (const forward of input.forwards) if (forward.family === family) forwardRules(rules, forward);
  return rules.list;
}

/** Where another backend decides and this one's FORWARD drops what it does not know: packets of our bridges pass. */
export function passingRules(family: Family, input: FirewallInput): Rule[] {
  const rules = new RuleList(family);
  for (const { bridge } of input.networks.filter((network) => subnetOf(network, family) !== undefined)) {
    rules.top("filter", "FORWARD", `-i ${bridge} -j ACCEPT`);
    rules.top("filter", "FORWARD", `-o ${bridge} -j ACCEPT`);
  }
  return rules.list;
}

export const subnetOf = (network: BridgeNetwork, family: Family): Subnet | undefined =>
  family === 4 ? network.subnet4 : network.subnet6;

class RuleList {
  readonly list: Rule[] = [];
  readonly #seen = new Set<string>();

  constructor(readonly family: Family) {}

  /** Two host ports of one container port need its rules once. */
  #add(rule: Rule): void {
    const key = `${rule.table} ${rule.chain} ${rule.text}`;
    if (!this.#seen.has(key)) this.list.push(rule);
    this.#seen.add(key);
  }

  bottom(table: Table, chain: string, text: string): void {
    this.#add({ family: this.family, table, chain, text, place: "bottom", shared: false });
  }

  top(table: Table, chain: string, text: string): void {
    this.#add({ family: this.family, table, chain, text, place: "top", shared: false });
  }

  shared(table: Table, chain: string, text: string, place: "top" | "bottom" = "top"): void {
    this.#add({ family: this.family, table, chain, text, place, shared: true });
  }
}

const loopback = (family: Family): string => (family === 4 ? "127.0.0.0/8" : "::1/128");

/** The jumps between the chains, which every engine needs. */
export function sharedRules(family: Family): Rule[] {
  const rules = new RuleList(family);
  addShared(rules, family);
  return rules.list;
}

/** The later of two "top" rules ends up first. */
function addShared(rules: RuleList, family: Family): void {
  rules.shared("filter", "FORWARD", "-j DOCKER-FORWARD");
  rules.shared("filter", "FORWARD", "-j DOCKER-USER");
  rules.shared("filter", "DOCKER-FORWARD", "-j DOCKER-BRIDGE");
  rules.shared("filter", "DOCKER-FORWARD", "-j DOCKER-INTERNAL");
  rules.shared("filter", "DOCKER-FORWARD", "-j DOCKER-CT");
  rules.shared("nat", "PREROUTING", "-m addrtype --dst-type LOCAL -j DOCKER");
  rules.shared("nat", "OUTPUT", `! -d ${loopback(family)} -m addrtype --dst-type LOCAL -j DOCKER`);
  // Loopback has a chain of its own: another engine's rules in DOCKER must not be met by what it serves with a proxy.
  if (family === 4) rules.shared("nat", "OUTPUT", `-d ${loopback(family)} -j HULL-LOCAL`);
}

/**
 * Nothing is addressed to its containers from outside. Where nobody masquerades, answers are: then DOCKER alone decides, which knows
 * whose answer a packet is.
 */
export const isHidden = (network: BridgeNetwork, masquerade: boolean): boolean =>
  network.mode === "nat" && (network.stored.internal || (masquerade && network.masquerade));

interface NetworkContext {
  readonly family: Family;
  readonly masquerade: boolean;
}

function networkRules(rules: RuleList, network: BridgeNetwork, context: NetworkContext): void {
  const br = network.bridge;
  const { family } = context;
  const subnet = formatPrefix(subnetOf(network, family)!.prefix);
  rules.bottom("filter", "DOCKER-CT", `-o ${br} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`);
  rules.bottom("filter", "DOCKER-BRIDGE", `-o ${br} -j DOCKER`);
  if (network.stored.internal) {
    rules.bottom("filter", "DOCKER-INTERNAL", `! -s ${subnet} -o ${br} -j DROP`);
    rules.bottom("filter", "DOCKER-INTERNAL", `! -d ${subnet} -i ${br} -j DROP`);
  }
  rules.bottom("filter", "DOCKER-FORWARD", `-i ${br} -o ${br} -j ${network.icc ? "ACCEPT" : "DROP"}`);
  if (!network.stored.internal) rules.bottom("filter", "DOCKER-FORWARD", `-i ${br} ! -o ${br} -j ACCEPT`);
  if (network.mode === "routed") {
    const icmp = family === 4 ? "-p icmp" : "-p ipv6-icmp";
    rules.top("filter", "DOCKER", `! -i ${br} -o ${br} ${icmp} -j ACCEPT`);
  }
  const open = network.mode === "nat-unprotected";
  rules.bottom("filter", "DOCKER", `! -i ${br} -o ${br} -j ${open ? "ACCEPT" : "DROP"}`);
  if (isHidden(network, context.masquerade)) {
    rules.bottom("raw", "PREROUTING", `-d ${subnet} ! -i ${br} -m addrtype ! --dst-type LOCAL -j DROP`);
  }
  if (family === 4) {
    // route_localnet is on for the bridge, so nothing but these two keeps its containers from the host's loopback.
    rules.bottom("raw", "PREROUTING", `-d 127.0.0.0/8 -i ${br} -j DROP`);
    rules.bottom("raw", "PREROUTING", `-s 127.0.0.0/8 -i ${br} -j DROP`);
  }
  natRules(rules, network, { ...context, subnet });
}

function natRules(
  rules: RuleList,
  network: BridgeNetwork,
  context: NetworkContext & { readonly subnet: string },
): void {
  const br = network.bridge;
  const { subnet, family } = context;
  if (network.stored.internal || network.mode === "routed" || network.mode === "isolated") return;
  if (context.masquerade && network.masquerade) {
    const snat = family === 4 && network.hostIpv4 ? `SNAT --to-source ${network.hostIpv4}` : "MASQUERADE";
    rules.bottom("nat", "POSTROUTING", `-s ${subnet} ! -o ${br} -j ${snat}`);
  }
  rules.bottom("nat", "POSTROUTING", `-o ${br} -m addrtype --src-type LOCAL -j MASQUERADE`);
  // A container that reaches a neighbour by the host's address: the answer has to come back through here.
  rules.bottom("nat", "POSTROUTING", `-s ${subnet} -o ${br} -m conntrack --ctstate DNAT -j MASQUERADE`);
}

function forwardRules(rules: RuleList, forward: PortForward): void {
  const { network, family, proto, containerPort, hostPort, hostIp } = forward;
  const br = network.bridge;
  const host = hostMask(family);
  const match = `-p ${proto} -m ${proto} --dport`;
  rules.top(
    "filter",
    "DOCKER",
    `-d ${forward.containerIp}/${host} ! -i ${br} -o ${br} ${match} ${containerPort} -j ACCEPT`,
  );
  if (network.mode === "routed") return;
  const target = family === 4 ? forward.containerIp : `[${forward.containerIp}]`;
  const dnat = `${match} ${hostPort} -j DNAT --to-destination ${target}:${containerPort}`;
  const local = hostIp.startsWith("127.");
  const only = hostIp === "" ? "" : `-d ${hostIp}/${host} `;
  // Ports of a loopback address are not in DOCKER: a neighbour on the wire could send packets to 127.0.0.1 there.
  if (!local) rules.bottom("nat", "DOCKER", family === 6 ? `! -s fe80::/10 ${only}${dnat}` : `${only}${dnat}`);
  if (family === 4 && (hostIp === "" || local)) rules.bottom("nat", "HULL-LOCAL", `${only}${dnat}`);
  const own = `${forward.containerIp}/${host}`;
  rules.bottom("nat", "POSTROUTING", `-s ${own} -d ${own} ${match} ${containerPort} -j MASQUERADE`);
}

const hostMask = (family: Family): number => (family === 4 ? 32 : 128);
