import type { Command } from "../command.ts";
import { pairsOf } from "../container-options/csv.ts";

export const command: Command = {
  usage: "[OPTIONS] NETWORK CONTAINER",
  operands: [2, 2],
  flags: [
    { name: "alias", kind: "list", help: "Add network-scoped alias for the container", value: "strings" },
    { name: "driver-opt", kind: "list", help: "driver options for the network", value: "strings" },
    {
      name: "gw-priority",
      kind: "int",
      help: "Highest gw-priority provides the default gateway. Accepts positive and negative values",
    },
    { name: "ip", kind: "string", help: 'IPv4 address (e.g., "172.30.100.104")' },
    { name: "ip6", kind: "string", help: 'IPv6 address (e.g., "2001:db8::33")' },
    { name: "link", kind: "list", help: "Add link to another container" },
    { name: "link-local-ip", kind: "list", help: "Add a link-local address for the container", value: "strings" },
  ],
  async run({ flags, operands, session }) {
    const [network, container] = operands;
    const ip = flags.text("ip");
    const ip6 = flags.text("ip6");
    const linkLocal = flags.list("link-local-ip");
    const body = {
      Container: container,
      EndpointConfig: {
        IPAMConfig: {
          ...(ip === undefined ? {} : { IPv4Address: ip }),
          ...(ip6 === undefined ? {} : { IPv6Address: ip6 }),
          ...(linkLocal.length === 0 ? {} : { LinkLocalIPs: linkLocal }),
        },
        Links: flags.list("link"),
        Aliases: flags.list("alias"),
        DriverOpts: pairsOf(flags.list("driver-opt")),
        GwPriority: flags.number("gw-priority") ?? 0,
      },
    };
    await session.call({ method: "POST", path: `/networks/${network}/connect`, body });
    return 0;
  },
};
