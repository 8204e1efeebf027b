import { ANY_NUMBER, type Command } from "../command.ts";
import { forEachOperand } from "../each.ts";

export const command: Command = {
  usage: "[OPTIONS] VOLUME [VOLUME...]",
  operands: [1, ANY_NUMBER],
  flags: [{ name: "force", short: "f", kind: "bool", help: "Force the removal of one or more volumes" }],
  run: ({ flags, operands, session }) =>
    forEachOperand(operands, async (name) => {
      await session.call({
        method: "DELETE",
        path: `/volumes/${name}`,
        query: { force: flags.bool("force") || undefined },
      });
    }),
};
