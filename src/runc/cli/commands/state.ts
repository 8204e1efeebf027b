import { writeText } from "../../../platform/standard-output.ts";
import type { CliCommand } from "../context.ts";
import { load, statusOf } from "../state.ts";

export const command: CliCommand = {
  usage: "state <container-id>",
  about: "output the state of a container",
  flags: {},
  arguments: [1, 1],
  async run(context) {
    const state = load(context.root, context.flags.rest[0]!);
    const status = await statusOf(context.root, state);
    const { id, bundle, rootfs, created, owner, config } = state;
    const { annotations } = JSON.parse(config) as { readonly annotations?: Readonly<Record<string, string>> };
    const pid = status === "stopped" ? 0 : state.pid;
    const shown = {
      ociVersion: "1.2.0",
      id,
      pid,
      status,
      bundle,
      rootfs,
      created,
      ...(annotations && { annotations }),
      owner,
    };
    await writeText("stdout", `${JSON.stringify(shown, undefined, 2)}\n`);
    return 0;
  },
};
