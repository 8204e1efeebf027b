import { HullError } from "../../../platform/errors.ts";
import { thawOperations } from "../../cgroup/control.ts";
import type { CliCommand } from "../context.ts";
import { load, statusOf } from "../state.ts";
import { writeAll } from "../write-cgroup.ts";

export const command: CliCommand = {
  usage: "resume <container-id>",
  about: "resumes all processes that have been previously paused",
  flags: {},
  arguments: [1, 1],
  async run(context) {
    const state = load(context.root, context.flags.rest[0]!);
    if ((await statusOf(context.root, state)) !== "paused")
      throw new HullError("failed-precondition", "container not paused");
    writeAll(thawOperations(state.cgroup));
    return 0;
  },
};
