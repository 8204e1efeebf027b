import { HullError } from "../../platform/errors.ts";
import { makeBaseImage } from "../base-image.ts";
import type { Command } from "../command.ts";
import { formatProgress, type ProgressMessage } from "../pull-image.ts";
import { bodyFrom } from "../streams/files.ts";
import { jsonValues, print } from "../streams/output.ts";

export const command: Command = {
  usage: "[OPTIONS]",
  operands: [0, 0],
  flags: [{ name: "tag", short: "t", kind: "string", help: "Name of the image", default: '"busybox:latest"' }],
  async run({ flags, session }) {
    using base = makeBaseImage(flags.text("tag") ?? "busybox:latest");
    const response = await session.call({
      method: "POST",
      path: "/images/load",
      headers: { "Content-Type": "application/x-tar" },
      body: await bodyFrom(base.archive),
    });
    for await (const message of jsonValues<ProgressMessage>(response)) {
      if (message.errorDetail) throw new HullError("internal", message.errorDetail.message);
      await print(formatProgress(message));
    }
    return 0;
  },
};
