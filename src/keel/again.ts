/**
 * For plans that are the same done once or twice (removals): when keel serve was killed over one, its successor does it again.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { codeOf } from "../platform/errors.ts";

/** Another one is there at once; one that is killed again and again comes back after up to two seconds. */
const DEADLINE_MS = 10_000;
const STEP_MS = 20;

export async function again<T>(run: () => Promise<T>): Promise<T> {
  const giveUpAt = performance.now() + DEADLINE_MS;
  for (;;) {
    try {
      return await run();
    } catch (error) {
      if (codeOf(error) !== "unavailable" || performance.now() > giveUpAt) throw error;
    }
    await sleep(STEP_MS);
  }
}
