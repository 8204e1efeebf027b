import { ANY_NUMBER, type Command } from "../command.ts";
import { forEachOperand } from "../each.ts";
import { warn } from "../streams/output.ts";

export const command: Command = {
  usage: "NETWORK [NETWORK...]",
  operands: [1, ANY_NUMBER],
  flags: [{ name: "force", short: "f", kind: "bool", help: "Do not error if the network does not exist" }],
  async run({ flags, operands, session }) {
    const code = await forEachOperand(operands, async (name) => {
      const call = session.call({ method: "DELETE", path: `/networks/${name}` });
      if (!flags.bool("force")) await call;
      else {
        await call.catch((error) => {
          if (error.code !== "not-found") throw error;
        });
      }
    });
    // docker's own last words.
    if (code !== 0) await warn(`exit status ${code}`);
    return code;
  },
};
