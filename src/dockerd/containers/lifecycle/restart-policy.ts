/** Whether and when a container that ended starts again. Pure. */
import type { RestartPolicy } from "../config.ts";

const FIRST_DELAY_MS = 100;
const MAX_DELAY_MS = 60_000;
/** A run at least this long begins the back-off anew. */
const GOOD_RUN_MS = 10_000;

export interface Ended {
  readonly policy: RestartPolicy;
  readonly exitCode: number;
  /** Restarts by the policy so far. */
  readonly restartCount: number;
  /** `docker stop`, `kill` or a removal asked for it. */
  readonly stopRequested: boolean;
}

export function shouldRestart({ policy, exitCode, restartCount, stopRequested }: Ended): boolean {
  if (stopRequested) return false;
  switch (policy.Name) {
    case "always":
    case "unless-stopped":
      return true;
    case "on-failure":
      return exitCode !== 0 && (policy.MaximumRetryCount === 0 || restartCount < policy.MaximumRetryCount);
    default:
      return false;
  }
}

/** At the engine's start, for what does not run: `always` comes back even after a `docker stop`. */
export function startsWithEngine(
  policy: RestartPolicy,
  facts: { readonly exitCode: number; readonly manuallyStopped: boolean },
): boolean {
  if (policy.Name === "always") return true;
  if (facts.manuallyStopped) return false;
  return policy.Name === "unless-stopped" || (policy.Name === "on-failure" && facts.exitCode !== 0);
}

/** 100 ms, doubled at each failure up to a minute. */
export function nextDelayMs(previousMs: number, ranMs: number): number {
  if (previousMs === 0 || ranMs >= GOOD_RUN_MS) return FIRST_DELAY_MS;
  return Math.min(previousMs * 2, MAX_DELAY_MS);
}
