import { messageOf } from "../../platform/errors.ts";
import { ANY_NUMBER, type Command } from "../command.ts";
import { createContainer } from "../container-options/create-container.ts";
import { containerFlags } from "../container-options/flags.ts";
import { ExitError } from "../exit-error.ts";
import { printLine } from "../streams/output.ts";

export const command: Command = {
  usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
  operands: [1, ANY_NUMBER],
  stopAtOperand: true,
  flags: containerFlags,
  async run({ flags, operands, session }) {
    try {
      const { id } = await createContainer(session, { flags, operands, detached: false });
      await printLine(id);
      return 0;
    } catch (error) {
      throw new ExitError(1, messageOf(error));
    }
  },
};
