import type { Command } from "../command.ts";
import { confirmed, prune, pruneFlags } from "../prune.ts";
import { print } from "../streams/output.ts";

export const command: Command = {
  usage: "[OPTIONS]",
  operands: [0, 0],
  flags: pruneFlags,
  async run(invocation) {
    if (
      !(await confirmed(
        invocation,
        "WARNING! This will remove all custom networks not used by at least one container.",
      ))
    )
      return 0;
    const { text } = await prune(invocation, {
      path: "/networks/prune",
      list: "NetworksDeleted",
      heading: "Deleted Networks",
    });
    await print(text);
    return 0;
  },
};
