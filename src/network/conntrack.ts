/**
 * Forgets what the kernel remembers of UDP flows: a flow that began before a port was published would go on past it, one to a container that
 * has gone would go on to nobody. TCP needs none of it. Without conntrack(8) nothing is done: flows end by themselves after 30 s.
 */
import { messageOf } from "../platform/errors.ts";
import type { Log } from "../platform/log.ts";
import { command } from "./firewall/command.ts";
import { findTool } from "./firewall/firewall.ts";
import type { Kernel } from "./kernel.ts";
import type { PortRecord } from "./record.ts";

/** Never throws; runs beside what the caller goes on to do. */
export async function forgetUdpFlows(kernel: Kernel, ports: readonly PortRecord[], log: Log): Promise<void> {
  const tool = findTool("conntrack");
  const udp = ports.filter((port) => port.proto === "udp");
  if (!tool || udp.length === 0) return;
  try {
    for (const port of udp) {
      const family = port.hostIp.includes(":") ? "ipv6" : "ipv4";
      // Exit status 1 says that there was no such flow.
      await command(kernel, [tool, "-D", "-f", family, "-p", "udp", "--orig-port-dst", String(port.hostPort)], "");
    }
  } catch (error) {
    log.warn("UDP flows of published ports could not be forgotten", { error: messageOf(error) });
  }
}
