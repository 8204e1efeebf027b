import type { Command } from "../command.ts";
import { splitReference } from "../pull-image.ts";
import { printLine } from "../streams/output.ts";

export const command: Command = {
  usage: "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
  operands: [1, 2],
  flags: [
    { name: "author", short: "a", kind: "string", help: 'Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")' },
    { name: "change", short: "c", kind: "list", help: "Apply Dockerfile instruction to the created image" },
    { name: "message", short: "m", kind: "string", help: "Commit message" },
    { name: "pause", short: "p", kind: "bool", help: "Pause container during commit", default: "true" },
  ],
  async run({ flags, operands, session }) {
    const [container, reference] = operands;
    const target = reference === undefined ? undefined : splitReference(reference);
    const { Id: id } = await session.json<{ Id: string }>({
      method: "POST",
      path: "/commit",
      query: {
        container,
        repo: target?.fromImage,
        tag: target?.tag,
        author: flags.text("author"),
        comment: flags.text("message"),
        changes: flags.list("change"),
        pause: flags.has("pause") ? flags.bool("pause") : undefined,
      },
    });
    await printLine(id);
    return 0;
  },
};
