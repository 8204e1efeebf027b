import { codeOf, HullError, messageOf } from "../../platform/errors.ts";
import type { Command } from "../command.ts";
import { warn } from "../streams/output.ts";

export const command: Command = {
  usage: "CONTAINER NEW_NAME",
  operands: [2, 2],
  flags: [],
  async run({ operands, session }) {
    const [container = "", name = ""] = operands.map((operand) => operand.trim());
    if (container === "" || name === "") {
      throw new HullError("invalid-argument", "Error: Neither old nor new names may be empty");
    }
    try {
      await session.call({ method: "POST", path: `/containers/${container}/rename`, query: { name } });
      return 0;
    } catch (error) {
      if (codeOf(error) === "unavailable") throw error;
      await warn(messageOf(error));
      throw new HullError("internal", `Error: failed to rename container named ${container}`, { cause: error });
    }
  },
};
