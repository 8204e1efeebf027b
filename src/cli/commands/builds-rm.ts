import { HullError } from "../../platform/errors.ts";
import { BuildHistory } from "../builds/build-history.ts";
import { ANY_NUMBER, type Command } from "../command.ts";
import { forEachOperand } from "../each.ts";

export const command: Command = {
  usage: "[OPTIONS] [BUILD...]",
  operands: [0, ANY_NUMBER],
  flags: [{ name: "all", short: "a", kind: "bool", help: "Remove the records of all builds that have ended" }],
  async run({ flags, operands, session }) {
    if (!flags.bool("all") && operands.length === 0)
      throw new HullError("invalid-argument", "name the builds whose records are to be removed, or give --all");
    await using history = await BuildHistory.open(session);
    const ended = flags.bool("all") ? (await history.list()).filter(({ CompletedAt }) => CompletedAt) : [];
    return await forEachOperand([...operands, ...ended.map(({ Ref }) => Ref)], async (name) => {
      const { Ref } = await history.find(name);
      await history.remove(Ref);
      return Ref;
    });
  },
};
