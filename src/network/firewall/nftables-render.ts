/**
 * The same networks and published ports as model.ts, for nftables: one table per engine and family, which nobody else writes to, so that
 * nothing in it has to be told apart. What changes with containers is elements of sets and maps; rules change with networks only. Pure.
 */
import { formatPrefix } from "../ipam/prefix.ts";
import type { BridgeNetwork } from "../record.ts";
import { type Family, type FirewallInput, isHidden, type PortForward, subnetOf } from "./model.ts";

/** Names of the sets and maps of published ports: container ends that may be reached, host ends on every address, on one address. */
export const portSets = ["open", "any", "one"] as const;
export type PortSet = (typeof portSets)[number];
export type Elements = Readonly<Record<PortSet, readonly string[]>>;

export interface Rendered {
  /** Declarations and chains, without elements of the port sets; empty: no table. */
  readonly structure: string;
  readonly rules: number;
  readonly elements: Elements;
}

export interface RenderInput extends FirewallInput {
  /** Forwarding was off until we came: this host must not route for strangers. */
  readonly guard: boolean;
}

export function renderTable(family: Family, input: RenderInput): Rendered {
  const networks = input.networks.filter((network) => subnetOf(network, family) !== undefined);
  const forwards = input.forwards.filter((forward) => forward.family === family);
  if (networks.length === 0) return { structure: "", rules: 0, elements: elementsOf([]) };
  const context: Context = { family, ip: family === 4 ? "ip" : "ip6", input };
  const chains = [
    ...networks.map((network) => chain(`to-${network.bridge}`, "", toRules(network, context))),
    chain("forward", "type filter hook forward priority filter", forwardRules(networks, context)),
    chain("prerouting", "type nat hook prerouting priority dstnat", [
      family === 4 ? "ip daddr 127.0.0.0/8 return" : "ip6 saddr fe80::/10 return",
      ...translations(context),
    ]),
    chain("output", "type nat hook output priority -100", [
      ...(family === 4 ? [] : ["ip6 daddr ::1 return"]),
      ...translations(context),
    ]),
    chain(
      "postrouting",
      "type nat hook postrouting priority srcnat",
      networks.flatMap((one) => sourceRules(one, context)),
    ),
    chain(
      "raw",
      "type filter hook prerouting priority raw",
      networks.flatMap((one) => rawRules(one, context)),
    ),
  ];
  const structure = [...declarations(networks, family), ...chains.map(({ text }) => text)].join("\n");
  return { structure, rules: chains.reduce((sum, { rules }) => sum + rules, 0), elements: elementsOf(forwards) };
}

interface Context {
  readonly family: Family;
  readonly ip: "ip" | "ip6";
  readonly input: RenderInput;
}

function chain(
  name: string,
  base: string,
  rules: readonly string[],
): { readonly text: string; readonly rules: number } {
  const lines = [...(base === "" ? [] : [`${base}; policy accept;`]), ...rules];
  return { text: `chain ${name} {\n${lines.join("\n")}\n}`, rules: rules.length };
}

function declarations(networks: readonly BridgeNetwork[], family: Family): string[] {
  const address = family === 4 ? "ipv4_addr" : "ipv6_addr";
  const end = "inet_proto . inet_service";
  const jumps = networks.map(({ bridge }) => `"${bridge}" : jump to-${bridge}`).join(", ");
  return [
    `set open { type ${address} . ${end}; }`,
    `map any { type ${end} : ${address} . inet_service; }`,
    `map one { type ${address} . ${end} : ${address} . inet_service; }`,
    `map to { type ifname : verdict; elements = { ${jumps} }; }`,
  ];
}

/** What is on its way to the network's containers. Every way ends in a verdict. */
function toRules(network: BridgeNetwork, { family, ip }: Context): string[] {
  const icmp = family === 4 ? "meta l4proto icmp accept" : "meta l4proto ipv6-icmp accept";
  return [
    `iifname "${network.bridge}" ${network.icc ? "accept" : "drop"}`,
    `${ip} daddr . meta l4proto . th dport @open accept`,
    ...(network.mode === "routed" ? [icmp] : []),
    network.mode === "nat-unprotected" ? "accept" : "drop",
  ];
}

function forwardRules(networks: readonly BridgeNetwork[], { family, ip, input }: Context): string[] {
  const internal = networks.filter(({ stored }) => stored.internal);
  const open = networks.filter(({ stored }) => !stored.internal);
  return [
    ...networks.map(({ bridge }) => `oifname "${bridge}" ct state established,related accept`),
    ...internal.flatMap((network) => [
      `${ip} saddr != ${prefixOf(network, family)} oifname "${network.bridge}" drop`,
      `${ip} daddr != ${prefixOf(network, family)} iifname "${network.bridge}" drop`,
    ]),
    "oifname vmap @to",
    ...open.map(({ bridge }) => `iifname "${bridge}" accept`),
    // Every engine's containers, Docker's too, are behind a bridge.
    ...(input.guard ? ['meta iifkind != "bridge" meta oifkind != "bridge" drop'] : []),
  ];
}

const prefixOf = (network: BridgeNetwork, family: Family): string => formatPrefix(subnetOf(network, family)!.prefix);

const translations = ({ ip }: Context): string[] => [
  `fib daddr type local dnat ${ip} to ${ip} daddr . meta l4proto . th dport map @one`,
  `fib daddr type local dnat ${ip} to meta l4proto . th dport map @any`,
];

function sourceRules(network: BridgeNetwork, { family, ip, input }: Context): string[] {
  const br = network.bridge;
  const subnet = prefixOf(network, family);
  if (network.stored.internal || network.mode === "routed" || network.mode === "isolated") return [];
  const source = family === 4 && network.hostIpv4 ? `snat to ${network.hostIpv4}` : "masquerade";
  return [
    ...(input.masquerade && network.masquerade ? [`${ip} saddr ${subnet} oifname != "${br}" ${source}`] : []),
    `oifname "${br}" fib saddr type local masquerade`,
    // A container that reaches a neighbour, or itself, by the host's address: the answer has to come back through here.
    `${ip} saddr ${subnet} oifname "${br}" ct status dnat masquerade`,
  ];
}

function rawRules(network: BridgeNetwork, { family, ip, input }: Context): string[] {
  const br = network.bridge;
  const direct = `${ip} daddr ${prefixOf(network, family)} iifname != "${br}" fib daddr type != local drop`;
  // route_localnet is on for the bridge, so nothing but these two keeps its containers from the host's loopback.
  const loopback = ["daddr", "saddr"].map((field) => `iifname "${br}" ip ${field} 127.0.0.0/8 drop`);
  return [...(isHidden(network, input.masquerade) ? [direct] : []), ...(family === 4 ? loopback : [])];
}

function elementsOf(forwards: readonly PortForward[]): Elements {
  const translated = forwards.filter(({ network }) => network.mode !== "routed");
  const target = (one: PortForward): string => `${one.containerIp} . ${one.containerPort}`;
  const any = translated.filter(({ hostIp }) => hostIp === "");
  const one = translated.filter(({ hostIp }) => hostIp !== "");
  const sorted = (list: readonly string[]): string[] => [...new Set(list)].toSorted();
  return {
    open: sorted(
      forwards.map(({ containerIp, proto, containerPort }) => `${containerIp} . ${proto} . ${containerPort}`),
    ),
    any: sorted(any.map((forward) => `${forward.proto} . ${forward.hostPort} : ${target(forward)}`)),
    one: sorted(
      one.map((forward) => `${forward.hostIp} . ${forward.proto} . ${forward.hostPort} : ${target(forward)}`),
    ),
  };
}

/** The script that leaves the table exactly so, in one transaction, whatever was there. */
export function replaceScript(family: Family, name: string, rendered: Rendered): string {
  const table = `${family === 4 ? "ip" : "ip6"} ${name}`;
  const gone = `add table ${table}\ndelete table ${table}\n`;
  if (rendered.structure === "") return gone;
  return `${gone}table ${table} {\n${rendered.structure}\n}\n${changes("add", table, rendered.elements)}`;
}

/** The script from one set of elements to another; empty: nothing to do. */
export function stepScript(
  family: Family,
  name: string,
  step: { readonly before: Elements; readonly after: Elements },
): string {
  const table = `${family === 4 ? "ip" : "ip6"} ${name}`;
  const lacking = (list: Elements, from: Elements): Elements => ({
    open: list.open.filter((one) => !from.open.includes(one)),
    any: list.any.filter((one) => !from.any.includes(one)),
    one: list.one.filter((one) => !from.one.includes(one)),
  });
  const gone = changes("delete", table, lacking(step.before, step.after));
  return gone + changes("add", table, lacking(step.after, step.before));
}

function changes(verb: "add" | "delete", table: string, elements: Elements): string {
  return portSets
    .filter((name) => elements[name].length > 0)
    .map((name) => `${verb} element ${table} ${name} { ${elements[name].join(", ")} }\n`)
    .join("");
}
