/** Whether `iptables` works on the old tables, of whose changes the kernel tells nobody. */
import { realpathSync } from "node:fs";
import { findTool } from "./firewall.ts";

export function usesLegacyTables(): boolean {
  const tool = findTool("iptables");
  return tool !== undefined && realpathSync(tool).includes("legacy");
}
