import { ANY_NUMBER, type Command } from "../command.ts";
import { forEachOperand } from "../each.ts";

export const command: Command = {
  usage: "[OPTIONS] CONTAINER [CONTAINER...]",
  operands: [1, ANY_NUMBER],
  flags: [
    { name: "force", short: "f", kind: "bool", help: "Force the removal of a running container (uses SIGKILL)" },
    { name: "link", short: "l", kind: "bool", help: "Remove the specified link" },
    { name: "volumes", short: "v", kind: "bool", help: "Remove anonymous volumes associated with the container" },
  ],
  run: ({ flags, operands, session }) =>
    forEachOperand(operands, async (name) => {
      const query = { force: flags.bool("force"), link: flags.bool("link"), v: flags.bool("volumes") };
      await session.call({ method: "DELETE", path: `/containers/${name.replace(/^\//, "")}`, query });
    }),
};
