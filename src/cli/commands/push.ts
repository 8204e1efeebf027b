import { parseReference, repositoryOf } from "../../oci/reference.ts";
import { HullError } from "../../platform/errors.ts";
import type { Command } from "../command.ts";
import { authHeaders } from "../credentials/credentials.ts";
import { formatProgress, type ProgressMessage, splitReference } from "../pull-image.ts";
import { jsonValues, print, printLine } from "../streams/output.ts";

export const command: Command = {
  usage: "[OPTIONS] NAME[:TAG]",
  operands: [1, 1],
  flags: [
    { name: "all-tags", short: "a", kind: "bool", help: "Push all tags of an image to the repository" },
    { name: "disable-content-trust", kind: "bool", help: "Skip image signing", default: "true" },
    { name: "quiet", short: "q", kind: "bool", help: "Suppress verbose output" },
  ],
  async run({ flags, operands, session }) {
    const [name = ""] = operands;
    const { fromImage, tag } = splitReference(name);
    const [allTags, quiet] = [flags.bool("all-tags"), flags.bool("quiet")];
    if (allTags && fromImage !== name) throw new HullError("invalid-argument", "tag can't be used with --all-tags/-a");
    if (fromImage === name && !allTags && !quiet) await printLine("Using default tag: latest");
    const response = await session.call({
      method: "POST",
      path: `/images/${fromImage}/push`,
      query: allTags ? {} : { tag },
      headers: authHeaders(session.options.configDir, parseReference(fromImage).domain),
    });
    for await (const message of jsonValues<ProgressMessage>(response)) {
      if (message.errorDetail) throw new HullError("internal", message.errorDetail.message);
      if (!quiet) await print(formatProgress(message));
    }
    if (quiet)
      await printLine(
        allTags ? repositoryOf(parseReference(fromImage)) : `${repositoryOf(parseReference(fromImage))}:${tag}`,
      );
    return 0;
  },
};
