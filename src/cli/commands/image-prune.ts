import type { Command } from "../command.ts";
import { confirmed, printTotal, prune, pruneFlags } from "../prune.ts";
import { print } from "../streams/output.ts";

export const command: Command = {
  usage: "[OPTIONS]",
  operands: [0, 0],
  flags: [
    ...pruneFlags,
    { name: "all", short: "a", kind: "bool", help: "Remove all unused images, not just dangling ones" },
  ],
  async run(invocation) {
    const all = invocation.flags.bool("all");
    const warning = all
      ? "WARNING! This will remove all images without at least one container associated to them."
      : "WARNING! This will remove all dangling images.";
    if (!(await confirmed(invocation, warning))) return 0;
    const { text, bytes } = await prune(invocation, {
      path: "/images/prune",
      list: "ImagesDeleted",
      heading: "Deleted Images",
      filters: [`dangling=${!all}`],
    });
    await print(text);
    await printTotal(bytes);
    return 0;
  },
};
