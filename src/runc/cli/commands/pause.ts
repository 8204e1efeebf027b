import { HullError } from "../../../platform/errors.ts";
import { freezeOperations, isFrozen, thawOperations } from "../../cgroup/control.ts";
import type { CliCommand } from "../context.ts";
import { load, statusOf } from "../state.ts";
import { writeAll } from "../write-cgroup.ts";

const DEADLINE_MS = 2000;

export const command: CliCommand = {
  usage: "pause <container-id>",
  about: "pause suspends all processes inside the container",
  flags: {},
  arguments: [1, 1],
  async run(context) {
    const state = load(context.root, context.flags.rest[0]!);
    const status = await statusOf(context.root, state);
    if (status !== "running" && status !== "created")
      throw new HullError("failed-precondition", "container not running");
    // v1: what forks meanwhile is caught by another write.
    for (const deadline = Date.now() + DEADLINE_MS; !(await isFrozen(state.cgroup)); ) {
      if (Date.now() > deadline) {
        writeAll(thawOperations(state.cgroup));
        throw new HullError("deadline-exceeded", "unable to freeze");
      }
      writeAll(freezeOperations(state.cgroup));
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return 0;
  },
};
