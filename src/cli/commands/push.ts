import { HullError } from "../../platform/errors.ts";
import type { Command } from "../command.ts";
import { formatProgress, type ProgressMessage, splitReference } from "../pull-image.ts";
import { jsonValues, print } from "../streams/output.ts";

export const command: Command = {
  usage: "[OPTIONS] NAME[:TAG]",
  operands: [1, 1],
  flags: [
    { name: "all-tags", short: "a", kind: "bool", help: "Push all tags of an image to the repository" },
    { name: "disable-content-trust", kind: "bool", help: "Skip image signing", default: "true" },
    { name: "quiet", short: "q", kind: "bool", help: "Suppress verbose output" },
  ],
  async run({ flags, operands, session }) {
    const { fromImage, tag } = splitReference(operands[0] ?? "");
    const response = await session.call({
      method: "POST",
      path: `/images/${fromImage}/push`,
      query: flags.bool("all-tags") ? {} : { tag },
      headers: { "X-Registry-Auth": Buffer.from("{}").toString("base64url") },
    });
    for await (const message of jsonValues<ProgressMessage>(response)) {
      if (message.errorDetail) throw new HullError("internal", message.errorDetail.message);
      if (!flags.bool("quiet")) await print(formatProgress(message));
    }
    return 0;
  },
};
