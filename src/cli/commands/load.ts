import { HullError } from "../../platform/errors.ts";
import type { Command } from "../command.ts";
import { formatProgress, type ProgressMessage } from "../pull-image.ts";
import { bodyFrom } from "../streams/files.ts";
import { jsonValues, print } from "../streams/output.ts";

export const command: Command = {
  usage: "[OPTIONS]",
  operands: [0, 0],
  flags: [
    { name: "input", short: "i", kind: "string", help: "Read from tar archive file, instead of STDIN" },
    { name: "platform", kind: "list", help: 'Load only the given platform(s). Formatted as "os[/arch[/variant]]"' },
    { name: "quiet", short: "q", kind: "bool", help: "Suppress the load output" },
  ],
  async run({ flags, session }) {
    const response = await session.call({
      method: "POST",
      path: "/images/load",
      query: { quiet: flags.bool("quiet") },
      headers: { "Content-Type": "application/x-tar" },
      body: await bodyFrom(flags.text("input")),
    });
    for await (const message of jsonValues<ProgressMessage>(response)) {
      if (message.errorDetail) throw new HullError("internal", message.errorDetail.message);
      await print(formatProgress(message));
    }
    return 0;
  },
};
