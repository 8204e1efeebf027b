import { ANY_NUMBER, type Command } from "../command.ts";
import { forEachOperand } from "../each.ts";

interface Removed {
  readonly Untagged?: string;
  readonly Deleted?: string;
}

export const command: Command = {
  usage: "[OPTIONS] IMAGE [IMAGE...]",
  operands: [1, ANY_NUMBER],
  flags: [
    { name: "force", short: "f", kind: "bool", help: "Force removal of the image" },
    { name: "no-prune", kind: "bool", help: "Do not delete untagged parents" },
  ],
  run: ({ flags, operands, session }) =>
    forEachOperand(operands, async (name) => {
      const query = { force: flags.bool("force") || undefined, noprune: flags.bool("no-prune") || undefined };
      const removed = await session.json<Removed[]>({ method: "DELETE", path: `/images/${name}`, query });
      return removed
        .map((item) => (item.Deleted ? `Deleted: ${item.Deleted}` : `Untagged: ${item.Untagged}`))
        .join("\n");
    }),
};
