import type { CliCommand, CliContext } from "../context.ts";
import { launch } from "../launch.ts";

/** Flags that create and run share. */
export const bundleFlags = {
  bundle: { kind: "text", aliases: ["b"] },
  "console-socket": { kind: "text" },
  "pidfd-socket": { kind: "text" },
  "pid-file": { kind: "text" },
  "no-pivot": { kind: "switch" },
  "no-new-keyring": { kind: "switch" },
  "preserve-fds": { kind: "text" },
} as const;

export const command: CliCommand = {
  usage: "create [command options] <container-id>",
  about: "create a container",
  flags: bundleFlags,
  arguments: [1, 1],
  async run(context: CliContext): Promise<number> {
    const { process } = await launch(context, { id: context.flags.rest[0]!, detached: true });
    return process.exit;
  },
};
