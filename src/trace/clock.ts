/**
 * The clock of the trace and of the API's times: epoch milliseconds that never stand still within one process, and follow the machine's
 * clock when that is set. keel reports CLOCK_MONOTONIC nanoseconds.
 */
import { builtins } from "../platform/builtins.ts";

/** What performance.now() counts from, in epoch milliseconds: corrected when the machine's clock was set or the machine slept. */
let originMs = Date.now() - performance.now();
const MOST_DRIFT_MS = 20;

export function nowMs(): number {
  const drift = Date.now() - (originMs + performance.now());
  if (Math.abs(drift) > MOST_DRIFT_MS) originMs += drift;
  return originMs + performance.now();
}

/** What to add to a CLOCK_MONOTONIC reading to have performance.now(), which is the same clock from another start; undefined: not known yet. */
let offsetMs: number | undefined;

/**
 * Epoch milliseconds of a CLOCK_MONOTONIC reading in nanoseconds. The runtime's own monotonic clock begins at the process's
 * start, so the kernel is asked once; where it does not say, readings of the past bound the offset ever closer from above.
 */
export function epochMsOfMonotonic(monotonicNs: bigint): number {
  const readingMs = Number(monotonicNs) / 1e6;
  offsetMs ??= offsetOfKernel();
  const bound = performance.now() - readingMs;
  if (offsetMs === undefined || bound < offsetMs) offsetMs = bound;
  nowMs(); // Follows a change of the machine's clock.
  return originMs + readingMs + offsetMs;
}

const HEAD_BYTES = 256;

/** /proc/timer_list begins with "now at N nsecs", N being CLOCK_MONOTONIC. */
function offsetOfKernel(): number | undefined {
  const { closeSync, openSync, readSync } = builtins.fs;
  try {
    const descriptor = openSync("/proc/timer_list", "r");
    try {
      const head = Buffer.alloc(HEAD_BYTES);
      const length = readSync(descriptor, head, 0, HEAD_BYTES, 0);
      const found = /now at (\d+) nsecs/.exec(head.toString("latin1", 0, length))?.[1];
      return found === undefined ? undefined : performance.now() - Number(found) / 1e6;
    } finally {
      closeSync(descriptor);
    }
  } catch {
    return undefined;
  }
}
