import type { Command } from "../command.ts";
import type { ContainerDetails } from "../container-details.ts";
import { timestampOf } from "../format/timestamps.ts";
import { copyOutput } from "../streams/output.ts";

export const command: Command = {
  usage: "[OPTIONS] CONTAINER",
  operands: [1, 1],
  flags: [
    { name: "details", kind: "bool", help: "Show extra details provided to logs" },
    { name: "follow", short: "f", kind: "bool", help: "Follow log output" },
    {
      name: "since",
      kind: "string",
      help: 'Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)',
    },
    {
      name: "tail",
      short: "n",
      kind: "string",
      help: "Number of lines to show from the end of the logs",
      default: '"all"',
    },
    { name: "timestamps", short: "t", kind: "bool", help: "Show timestamps" },
    {
      name: "until",
      kind: "string",
      help: 'Show logs before a timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)',
    },
  ],
  async run({ flags, operands, session }) {
    const details = await session.json<ContainerDetails>({ path: `/containers/${operands[0]}/json` });
    const response = await session.call({
      path: `/containers/${details.Id}/logs`,
      query: {
        stdout: true,
        stderr: true,
        follow: flags.bool("follow"),
        timestamps: flags.bool("timestamps"),
        details: flags.bool("details"),
        tail: flags.text("tail") ?? "all",
        since: timestampOf(flags.text("since")),
        until: timestampOf(flags.text("until")),
      },
    });
    await copyOutput(response.body, details.Config.Tty);
    return 0;
  },
};
