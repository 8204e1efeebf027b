import { ANY_NUMBER, type Command } from "../command.ts";
import { forEachOperand } from "../each.ts";

export const command: Command = {
  usage: "CONTAINER [CONTAINER...]",
  operands: [1, ANY_NUMBER],
  flags: [],
  run: ({ operands, session }) =>
    forEachOperand(operands, async (name) => {
      const exit = await session.json<{ StatusCode: number }>({ method: "POST", path: `/containers/${name}/wait` });
      return String(exit.StatusCode);
    }),
};
