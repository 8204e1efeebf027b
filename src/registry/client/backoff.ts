/** How long to wait before asking again: doubled each time, with jitter, or what the registry asks for. */
import { setTimeout as sleep } from "node:timers/promises";
import { HullError } from "../../platform/errors.ts";
import { isTransient } from "./failure.ts";

const FIRST_MS = 500;
const MOST_MS = 30_000;
/** A registry that asks for more than this is not waited for: its answer is the error. */
const MOST_ASKED_MS = 120_000;

/** `attempt` from 1; `random` in [0, 1). */
export function delayMs(attempt: number, random: number): number {
  const full = Math.min(MOST_MS, FIRST_MS * 2 ** (attempt - 1));
  return Math.round(full / 2 + (full / 2) * random);
}

/** Retry-After: seconds or a date (RFC 9110, section 10.2.3). */
export function parseRetryAfter(header: string | null, nowMs: number): number | undefined {
  if (header === null || header.trim() === "") return undefined;
  if (/^\d+$/.test(header.trim())) return Number(header) * 1000;
  const at = Date.parse(header);
  return Number.isNaN(at) ? undefined : Math.max(0, at - nowMs);
}

export interface Patience {
  /** Attempts in all. */
  readonly attempts: number;
  readonly signal: AbortSignal;
  /** Told before each wait. */
  readonly onWait?: ((ms: number, error: unknown) => void) | undefined;
  readonly random?: () => number;
}

/** Repeats what failed for a passing reason. Throws the last error. */
export async function patiently<T>(patience: Patience, work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (attempt >= patience.attempts || !isTransient(error)) throw error;
      await waitBefore(attempt, error, patience);
    }
  }
}

/** Throws the error when the registry asks for a longer wait than a client should sit through. */
export async function waitBefore(attempt: number, error: unknown, patience: Omit<Patience, "attempts">): Promise<void> {
  const asked = error instanceof HullError ? error.facts.retryAfterMs : undefined;
  if (typeof asked === "number" && asked > MOST_ASKED_MS) throw error;
  const ms = Math.max(typeof asked === "number" ? asked : 0, delayMs(attempt, (patience.random ?? Math.random)()));
  patience.onWait?.(ms, error);
  await sleep(ms, undefined, { signal: patience.signal });
}
