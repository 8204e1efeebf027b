import type { Command } from "../command.ts";
import { confirmed, type PruneCall, printTotal, prune, pruneFlags } from "../prune.ts";
import { print } from "../streams/output.ts";

export const command: Command = {
  usage: "[OPTIONS]",
  operands: [0, 0],
  flags: [
    ...pruneFlags,
    { name: "all", short: "a", kind: "bool", help: "Remove all unused images not just dangling ones" },
    { name: "volumes", kind: "bool", help: "Prune anonymous volumes" },
  ],
  async run(invocation) {
    const all = invocation.flags.bool("all");
    const volumes = invocation.flags.bool("volumes");
    const warning = [
      "WARNING! This will remove:",
      "  - all stopped containers",
      "  - all networks not used by at least one container",
      ...(volumes ? ["  - all anonymous volumes not used by at least one container"] : []),
      all ? "  - all images without at least one container associated to them" : "  - all dangling images",
      "",
    ].join("\n");
    if (!(await confirmed(invocation, warning))) return 0;
    const calls: PruneCall[] = [
      { path: "/containers/prune", list: "ContainersDeleted", heading: "Deleted Containers" },
      { path: "/networks/prune", list: "NetworksDeleted", heading: "Deleted Networks" },
      ...(volumes ? [{ path: "/volumes/prune", list: "VolumesDeleted", heading: "Deleted Volumes" }] : []),
      { path: "/images/prune", list: "ImagesDeleted", heading: "Deleted Images", filters: [`dangling=${!all}`] },
    ];
    let total = 0;
    for (const call of calls) {
      const { text, bytes } = await prune(invocation, call);
      total += bytes;
      await print(text);
    }
    await printTotal(total);
    return 0;
  },
};
