/** Which backends serve an engine: the chosen one, what it needs beside it, and the other one, whose rules of an earlier start are to go. */
import { messageOf } from "../../platform/errors.ts";
import type { Log } from "../../platform/log.ts";
import type { EngineMark } from "../engine-mark.ts";
import type { Kernel } from "../kernel.ts";
import type { NetworkSettings } from "../settings.ts";
import { command } from "./command.ts";
import { type Firewall, findTool, IptablesFirewall } from "./firewall.ts";
import { type Family, passingRules } from "./model.ts";
import { NftablesFirewall } from "./nftables.ts";

export interface BackendParts {
  readonly kernel: Kernel;
  readonly settings: NetworkSettings;
  readonly mark: EngineMark;
  readonly log: Log;
}

const families = (settings: NetworkSettings): Family[] => [
  ...(settings.iptables ? [4 as const] : []),
  ...(settings.iptables && settings.ip6tables ? [6 as const] : []),
];

const iptables = ({ kernel, log }: BackendParts, family: Family): Firewall =>
  new IptablesFirewall(kernel, family, (error) => {
    log.debug("the firewall was not as it was left", { error: messageOf(error) });
  });

const nftables = ({ kernel, mark }: BackendParts, family: Family): Firewall =>
  new NftablesFirewall(kernel, family, `hull-${mark.id.slice(0, 8)}`);

/** The chosen backend, one per family. */
export function chosenFirewalls(parts: BackendParts): Firewall[] {
  const make = parts.settings.firewallBackend === "nftables" ? nftables : iptables;
  return families(parts.settings).map((family) => make(parts, family));
}

/** With nftables, where FORWARD of iptables drops by policy: what a table of ours accepts has to pass there too. */
export async function passingFirewalls(parts: BackendParts): Promise<Firewall[]> {
  if (parts.settings.firewallBackend !== "nftables" || !findTool("iptables")) return [];
  const found = await Promise.all(
    families(parts.settings).map(async (family) => ((await dropsByPolicy(parts.kernel, family)) ? [family] : [])),
  );
  return found.flat().map((family) => new IptablesFirewall(parts.kernel, family, () => {}, passingRules));
}

async function dropsByPolicy(kernel: Kernel, family: Family): Promise<boolean> {
  const tool = findTool("nft");
  if (!tool) return false;
  const chain = [family === 4 ? "ip" : "ip6", "filter", "FORWARD"];
  const { stdout } = await command(kernel, [tool, "list", "chain", ...chain], "");
  return /policy drop/.test(stdout);
}

/** The backend that was not chosen. */
export function retiredFirewalls(parts: BackendParts): Firewall[] {
  const isNftables = parts.settings.firewallBackend === "nftables";
  if (!findTool(isNftables ? "iptables-save" : "nft")) return [];
  return families(parts.settings).map((family) => (isNftables ? iptables : nftables)(parts, family));
}
