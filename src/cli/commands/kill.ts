import { ANY_NUMBER, type Command } from "../command.ts";
import { forEachOperand } from "../each.ts";

export const command: Command = {
  usage: "[OPTIONS] CONTAINER [CONTAINER...]",
  operands: [1, ANY_NUMBER],
  flags: [{ name: "signal", short: "s", kind: "string", help: "Signal to send to the container" }],
  run: ({ flags, operands, session }) =>
    forEachOperand(operands, async (name) => {
      await session.call({
        method: "POST",
        path: `/containers/${name}/kill`,
        query: { signal: flags.text("signal") ?? "SIGKILL" },
      });
    }),
};
