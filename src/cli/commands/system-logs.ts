import type { Command } from "../command.ts";
import { timestampOf } from "../format/timestamps.ts";
import { write } from "../streams/output.ts";

export const command: Command = {
  usage: "[OPTIONS] [hulld|hull-containerd|hull-netd|hull-buildkitd]",
  operands: [0, 1],
  flags: [
    { name: "since", kind: "string", help: 'Show logs since a timestamp or a duration ago (e.g. "10m")' },
    { name: "tail", short: "n", kind: "int", help: "Number of lines to show from the end" },
  ],
  async run({ flags, operands, session }) {
    const response = await session.call({
      path: "/hull/v1/logs",
      query: { daemon: operands[0], since: timestampOf(flags.text("since")), tail: flags.text("tail") },
    });
    for await (const chunk of response.body) await write("stdout", chunk);
    return 0;
  },
};
