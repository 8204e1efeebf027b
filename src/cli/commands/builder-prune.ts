import type { Command } from "../command.ts";
import { parseBytes } from "../flags.ts";
import { encodeFilters } from "../format/filters.ts";
import { confirmed, printTotal, pruneFlags } from "../prune.ts";
import { print } from "../streams/output.ts";

interface PruneAnswer {
  readonly CachesDeleted: readonly string[] | null;
  readonly SpaceReclaimed: number;
}

export const command: Command = {
  usage: "[OPTIONS]",
  operands: [0, 0],
  flags: [
    ...pruneFlags,
    { name: "all", short: "a", kind: "bool", help: "Remove all unused build cache, not just dangling ones" },
    { name: "keep-storage", kind: "bytes", help: "Amount of disk space to keep for cache" },
  ],
  async run(invocation) {
    const { flags, session } = invocation;
    const all = flags.bool("all");
    const warning = all
      ? "WARNING! This will remove all build cache."
      : "WARNING! This will remove all dangling build cache.";
    if (!(await confirmed(invocation, warning))) return 0;
    const answer = await session.json<PruneAnswer>({
      method: "POST",
      path: "/build/prune",
      query: {
        all: all ? true : undefined,
        "keep-storage": parseBytes(flags.text("keep-storage") ?? "0") || undefined,
        filters: encodeFilters([...flags.list("filter")]),
      },
    });
    const deleted = answer.CachesDeleted ?? [];
    if (deleted.length > 0) await print(`Deleted build cache objects:\n${deleted.join("\n")}\n\n`);
    await printTotal(answer.SpaceReclaimed);
    return 0;
  },
};
