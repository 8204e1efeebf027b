import { ANY_NUMBER, type Command } from "../command.ts";
import { forEachOperand } from "../each.ts";

export const command: Command = {
  usage: "CONTAINER [CONTAINER...]",
  operands: [1, ANY_NUMBER],
  flags: [],
  run: ({ operands, session }) =>
    forEachOperand(operands, async (name) => {
      await session.call({ method: "POST", path: `/containers/${name}/unpause` });
    }),
};
