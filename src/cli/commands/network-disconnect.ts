import type { Command } from "../command.ts";

export const command: Command = {
  usage: "[OPTIONS] NETWORK CONTAINER",
  operands: [2, 2],
  flags: [{ name: "force", short: "f", kind: "bool", help: "Force the container to disconnect from a network" }],
  async run({ flags, operands, session }) {
    const [network, container] = operands;
    const body = { Container: container, Force: flags.bool("force") };
    await session.call({ method: "POST", path: `/networks/${network}/disconnect`, body });
    return 0;
  },
};
