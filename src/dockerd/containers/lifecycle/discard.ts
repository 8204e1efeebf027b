/** Removes a task whatever it does: one that no record speaks for any more. */
import { setTimeout as sleep } from "node:timers/promises";
import { HullError } from "../../../platform/errors.ts";
import type { ContainerDeps } from "../deps.ts";
import { SIGKILL } from "../signals.ts";

const DEADLINE_MS = 5000;
const STEP_MS = 20;

/** An absent one is fine. */
export async function discardTask(deps: ContainerDeps, id: string): Promise<void> {
  const giveUpAt = Date.now() + DEADLINE_MS;
  for (;;) {
    try {
      await deps.tasks.remove(id, false);
      return;
    } catch (error) {
      const lives = error instanceof HullError && error.code === "failed-precondition";
      if (!lives || Date.now() >= giveUpAt) throw error;
    }
    await deps.tasks.kill(id, SIGKILL).catch(() => undefined); // It may have just ended; else the next round tells.
    await sleep(STEP_MS);
  }
}
