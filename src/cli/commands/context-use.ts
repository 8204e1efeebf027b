import type { Command } from "../command.ts";
import { useContext } from "../contexts.ts";
import { printLine, warn } from "../streams/output.ts";

export const command: Command = {
  usage: "CONTEXT",
  operands: [1, 1],
  flags: [],
  async run({ operands, session }) {
    const [name = ""] = operands;
    useContext(session.options, name);
    await printLine(name);
    await warn(`Current context is now ${JSON.stringify(name)}`);
    return 0;
  },
};
