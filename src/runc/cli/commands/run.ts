import type { CliCommand, CliContext } from "../context.ts";
import { isOn } from "../flags.ts";
import { launch, type Made } from "../launch.ts";
import { runHooks } from "../outer-hooks.ts";
import { deleteStopped } from "../remove.ts";
import { startCreated } from "../start.ts";
import { bundleFlags } from "./create.ts";

/** A terminal sends these to the whole process group: passing them on as well would double them. */
const ofTerminals: readonly NodeJS.Signals[] = ["SIGINT", "SIGQUIT"];
const passed: readonly NodeJS.Signals[] = ["SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", ...ofTerminals];

function passSignals({ process: container }: Made): void {
  for (const signal of passed) {
    process.on(signal, () => {
      // Asked only now: to look at stdin takes milliseconds.
      if (!(ofTerminals.includes(signal) && process.stdin.isTTY)) container.kill(signal);
    });
  }
}

async function foreground(context: CliContext, made: Made): Promise<number> {
  const { process: container, state, spec } = made;
  passSignals(made);
  try {
    await container.start();
    const { id, pid, bundle } = state;
    if (spec.hooks.poststart.length > 0)
      await runHooks(spec.hooks.poststart, "poststart", {
        id,
        status: "running",
        pid,
        bundle,
        annotations: spec.annotations,
      });
    return await container.exit;
  } finally {
    if (!isOn(context.flags, "keep")) await deleteStopped(context, state, spec);
  }
}

export const command: CliCommand = {
  usage: "run [command options] <container-id>",
  about: "create and run a container",
  flags: {
    ...bundleFlags,
    detach: { kind: "switch", aliases: ["d"] },
    keep: { kind: "switch" },
    "no-subreaper": { kind: "switch" },
  },
  arguments: [1, 1],
  async run(context) {
    const [id] = context.flags.rest;
    const detached = isOn(context.flags, "detach");
    const made = await launch(context, { id: id!, detached });
    if (!detached) return await foreground(context, made);
    await made.process.exit;
    await startCreated(context, made.state);
    return 0;
  },
};
