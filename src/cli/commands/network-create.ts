import { HullError } from "../../platform/errors.ts";
import type { Command } from "../command.ts";
import { pairsOf } from "../container-options/csv.ts";
import { parseLabels } from "../container-options/environment.ts";
import type { FlagValues } from "../flags.ts";
import { printLine } from "../streams/output.ts";

export const command: Command = {
  usage: "[OPTIONS] NETWORK",
  operands: [1, 1],
  flags: [
    { name: "attachable", kind: "bool", help: "Enable manual container attachment" },
    { name: "aux-address", kind: "map", help: "Auxiliary IPv4 or IPv6 addresses used by Network driver", value: "map" },
    { name: "config-from", kind: "string", help: "The network from which to copy the configuration" },
    { name: "config-only", kind: "bool", help: "Create a configuration only network" },
    { name: "driver", short: "d", kind: "string", help: "Driver to manage the Network", default: '"bridge"' },
    { name: "gateway", kind: "list", help: "IPv4 or IPv6 Gateway for the master subnet", value: "strings" },
    { name: "ingress", kind: "bool", help: "Create swarm routing-mesh network" },
    { name: "internal", kind: "bool", help: "Restrict external access to the network" },
    { name: "ip-range", kind: "list", help: "Allocate container ip from a sub-range", value: "strings" },
    { name: "ipam-driver", kind: "string", help: "IP Address Management Driver", default: '"default"' },
    { name: "ipam-opt", kind: "map", help: "Set IPAM driver specific options", value: "map" },
    { name: "ipv4", kind: "bool", help: "Enable or disable IPv4 address assignment", default: "true" },
    { name: "ipv6", kind: "bool", help: "Enable or disable IPv6 address assignment" },
    { name: "label", kind: "list", help: "Set metadata on a network" },
    { name: "opt", short: "o", kind: "map", help: "Set driver specific options", value: "map" },
    { name: "scope", kind: "string", help: "Control the network's scope" },
    { name: "subnet", kind: "list", help: "Subnet in CIDR format that represents a network segment", value: "strings" },
  ],
  async run({ flags, operands, session }) {
    const configFrom = flags.text("config-from");
    const body = {
      Name: operands[0],
      Driver: flags.text("driver") ?? "bridge",
      Scope: flags.text("scope") ?? "",
      Internal: flags.bool("internal"),
      Attachable: flags.bool("attachable"),
      Ingress: flags.bool("ingress"),
      ConfigOnly: flags.bool("config-only"),
      ...(configFrom === undefined ? {} : { ConfigFrom: { Network: configFrom } }),
      ...(flags.has("ipv4") ? { EnableIPv4: flags.bool("ipv4") } : {}),
      ...(flags.has("ipv6") ? { EnableIPv6: flags.bool("ipv6") } : {}),
      IPAM: {
        Driver: flags.text("ipam-driver") ?? "default",
        Options: pairsOf(flags.list("ipam-opt")),
        Config: ipamConfig(flags),
      },
      Options: pairsOf(flags.list("opt")),
      Labels: parseLabels(flags.list("label"), []),
    };
    const { Id: id } = await session.json<{ Id: string }>({ method: "POST", path: "/networks/create", body });
    await printLine(id);
    return 0;
  },
};

const split = (values: readonly string[]): string[] => values.flatMap((value) => value.split(","));

/** Ranges, gateways and auxiliary addresses belong to the subnet that contains them; with one subnet to that one. */
function ipamConfig(flags: FlagValues) {
  const subnets = split(flags.list("subnet"));
  const ranges = split(flags.list("ip-range"));
  const gateways = split(flags.list("gateway"));
  const auxiliary = pairsOf(flags.list("aux-address"));
  if (subnets.length === 0 && ranges.length + gateways.length > 0) {
    throw new HullError("invalid-argument", `every ip-range or gateway must have a corresponding subnet`);
  }
  const isV6 = (text: string) => text.includes(":");
  const ofSubnet = (list: readonly string[], subnet: string) =>
    list.find(
      (item) =>
        isV6(item) === isV6(subnet) &&
        (subnets.filter((other) => isV6(other) === isV6(subnet)).length === 1 || sharesPrefix(item, subnet)),
    );
  return subnets.map((subnet) => {
    const range = ofSubnet(ranges, subnet);
    const gateway = ofSubnet(gateways, subnet);
    const addresses = Object.entries(auxiliary).filter(([, address]) => isV6(address) === isV6(subnet));
    return {
      Subnet: subnet,
      ...(range === undefined ? {} : { IPRange: range }),
      ...(gateway === undefined ? {} : { Gateway: gateway }),
      ...(addresses.length === 0 ? {} : { AuxiliaryAddresses: Object.fromEntries(addresses) }),
    };
  });
}

/** Do the first bytes agree, as far as whole bytes of the prefix go (IPv4 only: several IPv6 subnets are rare)? */
function sharesPrefix(item: string, subnet: string): boolean {
  const bytes = Math.trunc(Number(subnet.split("/")[1] ?? 32) / 8);
  return item.split(".").slice(0, bytes).join(".") === subnet.split(".").slice(0, bytes).join(".");
}
