import { parseReference, repositoryOf } from "../../oci/reference.ts";
import { HullError } from "../../platform/errors.ts";
import type { Command } from "../command.ts";
import { pullImage, splitReference } from "../pull-image.ts";
import { printLine } from "../streams/output.ts";

export const command: Command = {
  usage: "[OPTIONS] NAME[:TAG|@DIGEST]",
  operands: [1, 1],
  flags: [
    { name: "all-tags", short: "a", kind: "bool", help: "Download all tagged images in the repository" },
    { name: "disable-content-trust", kind: "bool", help: "Skip image verification", default: "true" },
    { name: "platform", kind: "string", help: "Set platform if server is multi-platform capable" },
    { name: "quiet", short: "q", kind: "bool", help: "Suppress verbose output" },
  ],
  async run({ flags, operands, session }) {
    const [name = ""] = operands;
    const { fromImage, tag } = splitReference(name);
    const [allTags, quiet] = [flags.bool("all-tags"), flags.bool("quiet")];
    if (allTags && fromImage !== name) throw new HullError("invalid-argument", "tag can't be used with --all-tags/-a");
    if (fromImage === name && !allTags && !quiet) await printLine("Using default tag: latest");
    await pullImage(session, name, { platform: flags.text("platform"), quiet, allTags });
    const full = parseReference(fromImage);
    const shown = tag.startsWith("sha256:") ? `${repositoryOf(full)}@${tag}` : `${repositoryOf(full)}:${tag}`;
    await printLine(allTags ? repositoryOf(full) : shown);
    return 0;
  },
};
