import { HullError } from "../../platform/errors.ts";
import type { Command } from "../command.ts";
import { formatProgress, type ProgressMessage, splitReference } from "../pull-image.ts";
import { bodyFrom } from "../streams/files.ts";
import { jsonValues, print } from "../streams/output.ts";

export const command: Command = {
  usage: "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
  operands: [1, 2],
  flags: [
    { name: "change", short: "c", kind: "list", help: "Apply Dockerfile instruction to the created image" },
    { name: "message", short: "m", kind: "string", help: "Set commit message for imported image" },
    { name: "platform", kind: "string", help: "Set platform if server is multi-platform capable" },
  ],
  async run({ flags, operands, session }) {
    const [source = "", reference] = operands;
    const remote = /^https?:\/\//.test(source);
    const target = reference === undefined ? undefined : splitReference(reference);
    const response = await session.call({
      method: "POST",
      path: "/images/create",
      query: {
        fromSrc: remote ? source : "-",
        repo: target?.fromImage,
        tag: target?.tag,
        message: flags.text("message"),
        changes: flags.list("change"),
        platform: flags.text("platform"),
      },
      headers: { "Content-Type": "application/x-tar" },
      ...(remote ? {} : { body: await bodyFrom(source) }),
    });
    for await (const message of jsonValues<ProgressMessage>(response)) {
      if (message.errorDetail) throw new HullError("internal", message.errorDetail.message);
      await print(formatProgress(message));
    }
    return 0;
  },
};
