import { HullError } from "../../../platform/errors.ts";
import { signalAll, thawOperations } from "../../cgroup/control.ts";
import { SIGKILL } from "../../kernel-constants.ts";
import type { CliCommand } from "../context.ts";
import { isOn } from "../flags.ts";
import { parseSignal } from "../signal-names.ts";
import { isAlive, load, statusOf } from "../state.ts";
import { writeAll } from "../write-cgroup.ts";

export const command: CliCommand = {
  usage: "kill [command options] <container-id> [signal]",
  about: "kill sends the specified signal (default: SIGTERM) to the container's init process",
  flags: { all: { kind: "switch", aliases: ["a"] } },
  arguments: [1, 2],
  async run(context) {
    const [id, name = "SIGTERM"] = context.flags.rest;
    const signal = parseSignal(name);
    const state = load(context.root, id!);
    const all = isOn(context.flags, "all");
    if (!all && !isAlive(state)) throw new HullError("not-found", "container not running");
    if (all) await signalAll(state.cgroup, signal);
    else process.kill(state.pid, signal);
    // A frozen process takes no signal, not even this one.
    if (signal === SIGKILL && (await statusOf(context.root, state)) === "paused")
      writeAll(thawOperations(state.cgroup));
    return 0;
  },
};
