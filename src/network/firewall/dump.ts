/** What iptables-save prints, parsed: chains and rules as texts. Pure. */
import { contains, type Prefix, parsePrefix } from "../ipam/prefix.ts";
import type { Table } from "./model.ts";

export interface DumpedTable {
  /** Chain -> its rules in order, without "-A CHAIN ". Built-in chains are there too. */
  readonly chains: ReadonlyMap<string, readonly string[]>;
  /** Policies of built-in chains. */
  readonly policies: ReadonlyMap<string, string>;
}

export type Dump = ReadonlyMap<Table, DumpedTable>;

export function parseDump(text: string): Dump {
  const tables = new Map<Table, { chains: Map<string, string[]>; policies: Map<string, string> }>();
  let current = { chains: new Map<string, string[]>(), policies: new Map<string, string>() };
  for (const line of text.split("\n")) {
    if (line.startsWith("*")) {
      current = { chains: new Map(), policies: new Map() };
      tables.set(line.slice(1).trim() as Table, current);
    } else if (line.startsWith(":")) {
      const [chain = "", policy = "-"] = line.slice(1).split(" ");
      current.chains.set(chain, []);
      if (policy !== "-") current.policies.set(chain, policy);
    } else if (line.startsWith("-A ")) {
      const space = line.indexOf(" ", 3);
      const chain = space < 0 ? line.slice(3) : line.slice(3, space);
      const rules = current.chains.get(chain) ?? [];
      rules.push(space < 0 ? "" : line.slice(space + 1).trim());
      current.chains.set(chain, rules);
    }
  }
  return tables;
}

/** By what an engine knows its own rules in chains that others use too. */
export interface Ownership {
  readonly bridges: ReadonlySet<string>;
  readonly subnets: readonly Prefix[];
}

/** The rule names a bridge of ours, or an address inside one of our subnets. */
export function isOwn(rule: string, ownership: Ownership): boolean {
  const words = rule.split(" ");
  return words.some((word, at) => {
    const value = words[at + 1] ?? "";
    if (word === "-i" || word === "-o") return ownership.bridges.has(value);
    if (word === "-s" || word === "-d") return within(value, ownership.subnets);
    if (word === "--to-destination") return within(hostOf(value), ownership.subnets);
    return false;
  });
}

/** "1.2.3.4:80", "[fd00::2]:80" */
function hostOf(target: string): string {
  const bracketed = /^\[([^\]]+)\]/.exec(target);
  return bracketed ? bracketed[1]! : (target.split(":")[0] ?? "");
}

function within(text: string, subnets: readonly Prefix[]): boolean {
  let prefix: Prefix;
  try {
    prefix = parsePrefix(text.includes("/") ? text : `${text}/${text.includes(":") ? 128 : 32}`);
  } catch {
    // A range, a set, a name: nothing we ever write.
    return false;
  }
  return subnets.some(
    (subnet) => subnet.bits <= prefix.bits && contains(subnet, { family: prefix.family, value: prefix.base }),
  );
}
