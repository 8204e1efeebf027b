import { HullError } from "../../../platform/errors.ts";
import type { CliCommand } from "../context.ts";
import { startCreated } from "../start.ts";
import { load, statusOf } from "../state.ts";

export const command: CliCommand = {
  usage: "start <container-id>",
  about: "executes the user defined process in a created container",
  flags: {},
  arguments: [1, 1],
  async run(context) {
    const state = load(context.root, context.flags.rest[0]!);
    const status = await statusOf(context.root, state);
    if (status === "stopped") throw new HullError("failed-precondition", "cannot start a container that has stopped");
    if (status !== "created") throw new HullError("failed-precondition", `cannot start an already running container`);
    await startCreated(context, state);
    return 0;
  },
};
