import { HullError } from "../../platform/errors.ts";
import type { Command } from "../command.ts";
import { copyFrom, copyTo } from "../copy.ts";
import { warn } from "../streams/output.ts";

/** "CONTAINER:PATH", or a local path: one that is absolute or begins with a dot is local even with a colon in it. */
function splitPlace(text: string): { container?: string; path: string } {
  const colon = text.indexOf(":");
  if (text.startsWith("/") || text.startsWith(".") || colon < 0) return { path: text };
  return { container: text.slice(0, colon), path: text.slice(colon + 1) };
}

export const command: Command = {
  usage: "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\thull cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
  operands: [2, 2],
  flags: [
    { name: "archive", short: "a", kind: "bool", help: "Archive mode (copy all uid/gid information)" },
    { name: "follow-link", short: "L", kind: "bool", help: "Always follow symbol link in SRC_PATH" },
    { name: "quiet", short: "q", kind: "bool", help: "Suppress progress output during copy" },
  ],
  async run({ flags, operands, session }) {
    const [source, target] = operands.map(splitPlace) as [ReturnType<typeof splitPlace>, ReturnType<typeof splitPlace>];
    if (source.path === "" || target.path === "")
      throw new HullError("invalid-argument", "source and destination can not be empty");
    if (source.container !== undefined && target.container !== undefined) {
      throw new HullError("unimplemented", "copying between containers is not supported");
    }
    const followLink = flags.bool("follow-link");
    if (source.container !== undefined) {
      await copyFrom(session, { container: source.container, path: source.path, target: target.path, followLink });
      if (!flags.bool("quiet") && target.path !== "-")
        await warn(`Successfully copied ${operands[0]} to ${target.path}`);
    } else if (target.container !== undefined) {
      await copyTo(session, {
        container: target.container,
        path: target.path,
        source: source.path,
        followLink,
        keepOwners: flags.bool("archive"),
      });
      if (!flags.bool("quiet") && source.path !== "-")
        await warn(`Successfully copied ${source.path} to ${operands[1]}`);
    } else {
      throw new HullError("invalid-argument", "must specify at least one container source");
    }
    return 0;
  },
};
