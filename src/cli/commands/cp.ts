import { resolve } from "node:path";
import { HullError } from "../../platform/errors.ts";
import type { Command } from "../command.ts";
import { copyFrom, copyTo } from "../copy.ts";
import { humanSize } from "../format/units.ts";
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
    {
      name: "quiet",
      short: "q",
      kind: "bool",
      help: "Suppress progress output during copy. Progress output is automatically suppressed if no terminal is attached",
    },
  ],
  async run({ flags, operands, session }) {
    const [source, target] = operands.map(splitPlace) as [ReturnType<typeof splitPlace>, ReturnType<typeof splitPlace>];
    if (operands[0] === "") throw new HullError("invalid-argument", "source can not be empty");
    if (operands[1] === "") throw new HullError("invalid-argument", "destination can not be empty");
    if (source.container !== undefined && target.container !== undefined) {
      throw new HullError("unimplemented", "copying between containers is not supported");
    }
    const followLink = flags.bool("follow-link");
    // As docker's: nothing is said where nobody looks.
    const quiet = flags.has("quiet") ? flags.bool("quiet") : !process.stdout.isTTY;
    const done = (bytes: number, place: string) =>
      quiet ? undefined : warn(`Successfully copied ${humanSize(bytes, 3)} to ${place}`);
    if (source.container !== undefined) {
      const { container, path } = source;
      const bytes = await copyFrom(session, { container, path, target: target.path, followLink });
      if (target.path !== "-") await done(bytes, resolve(target.path));
    } else if (target.container !== undefined) {
      const { container, path } = target;
      const keepOwners = flags.bool("archive");
      const bytes = await copyTo(session, { container, path, source: source.path, followLink, keepOwners });
      await done(bytes, `${container}:${path}`);
    } else {
      throw new HullError("invalid-argument", "must specify at least one container source");
    }
    return 0;
  },
};
