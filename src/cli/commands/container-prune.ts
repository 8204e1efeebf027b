import type { Command } from "../command.ts";
import { confirmed, printTotal, prune, pruneFlags } from "../prune.ts";
import { print } from "../streams/output.ts";

export const command: Command = {
  usage: "[OPTIONS]",
  operands: [0, 0],
  flags: pruneFlags,
  async run(invocation) {
    if (!(await confirmed(invocation, "WARNING! This will remove all stopped containers."))) return 0;
    const { text, bytes } = await prune(invocation, {
      path: "/containers/prune",
      list: "ContainersDeleted",
      heading: "Deleted Containers",
    });
    await print(text);
    await printTotal(bytes);
    return 0;
  },
};
