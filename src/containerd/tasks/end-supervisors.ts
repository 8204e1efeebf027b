/**
 * Ends whatever supervises a container that is not to be: a start that failed or was cut off, a leftover of an earlier daemon. The order is
 * process, shim, pause: a pause does not go before its process has, and a shim left without both would only go by itself.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { endContainer, pauseClient } from "../../keel/shim-client.ts";
import { codeOf } from "../../platform/errors.ts";
import type { TaskPaths } from "../roots.ts";

const PATIENCE_MS = 5000;
const STEP_MS = 5;

/** The process included. None there is fine; throws what kept it from ending. */
export async function endSupervisors(paths: Pick<TaskPaths, "shimSocket" | "pauseSocket">): Promise<void> {
  await fineWhenAbsent(endContainer(paths.shimSocket));
  const giveUpAt = performance.now() + PATIENCE_MS;
  for (;;) {
    try {
      return await stopSandbox(paths);
    } catch (error) {
      // A killed process takes a moment to be gone.
      if (codeOf(error) !== "failed-precondition" || performance.now() > giveUpAt) throw error;
    }
    await sleep(STEP_MS);
  }
}

/** Ends a pause; none there is fine. Throws `failed-precondition` while its process lives. */
export const stopSandbox = ({ pauseSocket }: Pick<TaskPaths, "pauseSocket">): Promise<void> =>
  fineWhenAbsent(pauseClient.stop(pauseSocket));

async function fineWhenAbsent(work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!["unavailable", "not-found"].includes(codeOf(error))) throw error;
  }
}
