import { ANY_NUMBER, type Command } from "../command.ts";
import { forEachOperand } from "../each.ts";

export const command: Command = {
  usage: "[OPTIONS] CONTAINER [CONTAINER...]",
  operands: [1, ANY_NUMBER],
  flags: [
    { name: "signal", short: "s", kind: "string", help: "Signal to send to the container" },
    { name: "timeout", short: "t", kind: "int", help: "Seconds to wait before killing the container" },
    { name: "time", kind: "int", help: "Seconds to wait before killing the container", hidden: true },
  ],
  run: ({ flags, operands, session }) =>
    forEachOperand(operands, async (name) => {
      const t = flags.text("timeout") ?? flags.text("time");
      await session.call({
        method: "POST",
        path: `/containers/${name}/restart`,
        query: { t, signal: flags.text("signal") },
      });
    }),
};
