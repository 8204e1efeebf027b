import type { Command } from "../command.ts";
import { currentContextName } from "../contexts.ts";
import { printLine } from "../streams/output.ts";

export const command: Command = {
  usage: "",
  operands: [0, 0],
  flags: [],
  async run({ session }) {
    await printLine(currentContextName(session.options));
    return 0;
  },
};
