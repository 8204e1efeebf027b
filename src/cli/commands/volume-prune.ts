import type { Command } from "../command.ts";
import { confirmed, printTotal, prune, pruneFlags } from "../prune.ts";
import { print } from "../streams/output.ts";

export const command: Command = {
  usage: "[OPTIONS]",
  operands: [0, 0],
  flags: [
    ...pruneFlags,
    { name: "all", short: "a", kind: "bool", help: "Remove all unused volumes, not just anonymous ones" },
  ],
  async run(invocation) {
    const all = invocation.flags.bool("all");
    const warning = `WARNING! This will remove ${all ? "all" : "anonymous"} local volumes not used by at least one container.`;
    if (!(await confirmed(invocation, warning))) return 0;
    const { text, bytes } = await prune(invocation, {
      path: "/volumes/prune",
      list: "VolumesDeleted",
      heading: "Deleted Volumes",
      filters: all ? ["all=1"] : [],
    });
    await print(text);
    await printTotal(bytes);
    return 0;
  },
};
