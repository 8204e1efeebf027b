import { ANY_NUMBER, type Command } from "../command.ts";
import { forEachOperand } from "../each.ts";

export const command: Command = {
  usage: "NETWORK [NETWORK...]",
  operands: [1, ANY_NUMBER],
  flags: [{ name: "force", short: "f", kind: "bool", help: "Do not error if the network does not exist" }],
  run: ({ flags, operands, session }) =>
    forEachOperand(operands, async (name) => {
      const call = session.call({ method: "DELETE", path: `/networks/${name}` });
      if (!flags.bool("force")) await call;
      else {
        await call.catch((error) => {
          if (error.code !== "not-found") throw error;
        });
      }
    }),
};
