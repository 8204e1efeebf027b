/** Lets a created container's process go on: by reading from its FIFO. */
import { closeSync, constants, openSync, readSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parseRuntimeSpec } from "../../oci/runtime-spec.ts";
import { during, HullError } from "../../platform/errors.ts";
import type { CliContext } from "./context.ts";
import { runHooks } from "./outer-hooks.ts";
import { type ContainerState, directoryOf, FIFO, isAlive } from "./state.ts";

const POLL_MS = 1;

/** True once a byte has come; false while nobody has written. */
function tookByte(fd: number): boolean {
  try {
    return readSync(fd, new Uint8Array(1)) === 1;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EAGAIN") return false;
    throw error;
  }
}

/** Opened without waiting, and read until the process has written or ended: one that is dead never answers. */
export async function startCreated(context: CliContext, state: ContainerState): Promise<void> {
  const path = join(directoryOf(context.root, state.id), FIFO);
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT")
      throw new HullError("failed-precondition", "cannot start an already running container");
    throw during(`open ${path}`, error);
  }
  try {
    while (!tookByte(fd)) {
      if (!isAlive(state) && !tookByte(fd))
        throw new HullError("failed-precondition", "container process is already dead");
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  } finally {
    closeSync(fd);
  }
  rmSync(path, { force: true });
  const { hooks, annotations } = parseRuntimeSpec(state.config);
  await runHooks(hooks.poststart, "poststart", {
    id: state.id,
    status: "running",
    pid: state.pid,
    bundle: state.bundle,
    annotations,
  });
}
