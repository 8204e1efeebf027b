import { DOCKER_HUB_INDEX } from "../../registry/client/credentials.ts";
import type { Command } from "../command.ts";
import { eraseAuth, keyOf } from "../credentials/credentials.ts";
import { printLine } from "../streams/output.ts";

export const command: Command = {
  usage: "[SERVER]",
  operands: [0, 1],
  flags: [],
  async run({ operands, session }) {
    const server = operands[0] || DOCKER_HUB_INDEX;
    const known = eraseAuth(session.options.configDir, server);
    await printLine(known ? `Removing login credentials for ${keyOf(server)}` : `Not logged in to ${keyOf(server)}`);
    return 0;
  },
};
