import { codeOf, HullError } from "../../../platform/errors.ts";
import { killAll, thawOperations } from "../../cgroup/control.ts";
import { SIGKILL } from "../../kernel-constants.ts";
import type { CliCommand, CliContext } from "../context.ts";
import { isOn } from "../flags.ts";
import { deleteStopped, notStopped } from "../remove.ts";
import { type ContainerState, isAlive, load, statusOf } from "../state.ts";
import { writeAll } from "../write-cgroup.ts";

const DEADLINE_MS = 10_000;

async function kill(context: CliContext, state: ContainerState): Promise<void> {
  if ((await statusOf(context.root, state)) === "paused") writeAll(thawOperations(state.cgroup));
  if (isAlive(state)) process.kill(state.pid, SIGKILL);
  for (const deadline = Date.now() + DEADLINE_MS; isAlive(state); ) {
    if (Date.now() > deadline) throw new HullError("deadline-exceeded", "container init still running");
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await killAll(state.cgroup);
}

export const command: CliCommand = {
  usage: "delete [command options] <container-id>",
  about: "delete any resources held by the container often used with detached container",
  flags: { force: { kind: "switch", aliases: ["f"] } },
  arguments: [1, 1],
  async run(context) {
    const [id] = context.flags.rest;
    const force = isOn(context.flags, "force");
    let state: ContainerState;
    try {
      state = load(context.root, id!);
    } catch (error) {
      if (force && codeOf(error) === "not-found") return 0;
      throw error;
    }
    const status = await statusOf(context.root, state);
    if (status !== "stopped" && status !== "created" && status !== "creating" && !force) throw notStopped(id!, status);
    if (status !== "stopped") await kill(context, state);
    await deleteStopped(context, state);
    return 0;
  },
};
