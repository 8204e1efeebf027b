import { codeOf } from "../../platform/errors.ts";
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
  async run({ flags, operands, session }) {
    let missing = 0;
    let failed = 0;
    const code = await forEachOperand(operands, async (name) => {
      const query = { force: flags.bool("force") || undefined, noprune: flags.bool("no-prune") || undefined };
      const call = session.json<Removed[]>({ method: "DELETE", path: `/images/${name}`, query });
      const removed = await call.catch((error: unknown) => {
        failed++;
        if (codeOf(error) === "not-found") missing++;
        throw error;
      });
      return removed
        .map((item) => (item.Deleted ? `Deleted: ${item.Deleted}` : `Untagged: ${item.Untagged}`))
        .join("\n");
    });
    // With -f what is not there is as good as removed, though it is said.
    return flags.bool("force") && failed === missing ? 0 : code;
  },
};
