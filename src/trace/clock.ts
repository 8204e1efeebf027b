/** Clocks of the trace. keel reports CLOCK_MONOTONIC nanoseconds; spans are stored in epoch milliseconds. */
import { closeSync, openSync, readSync } from "node:fs";

export const nowMs = (): number => performance.timeOrigin + performance.now();

/** What to add to a CLOCK_MONOTONIC reading in milliseconds; undefined: not known yet. */
let offsetMs: number | undefined;

/**
 * Epoch milliseconds of a CLOCK_MONOTONIC reading in nanoseconds. The runtime's own monotonic clock begins at the process's
 * start, so the kernel is asked once; where it does not say, readings of the past bound the offset ever closer from above.
 */
export function epochMsOfMonotonic(monotonicNs: bigint): number {
  const readingMs = Number(monotonicNs) / 1e6;
  offsetMs ??= offsetOfKernel();
  const bound = nowMs() - readingMs;
  if (offsetMs === undefined || bound < offsetMs) offsetMs = bound;
  return readingMs + offsetMs;
}

const HEAD_BYTES = 256;

/** /proc/timer_list begins with "now at N nsecs", N being CLOCK_MONOTONIC. */
function offsetOfKernel(): number | undefined {
  try {
    const descriptor = openSync("/proc/timer_list", "r");
    try {
      const head = Buffer.alloc(HEAD_BYTES);
      const length = readSync(descriptor, head, 0, HEAD_BYTES, 0);
      const found = /now at (\d+) nsecs/.exec(head.toString("latin1", 0, length))?.[1];
      return found === undefined ? undefined : nowMs() - Number(found) / 1e6;
    } finally {
      closeSync(descriptor);
    }
  } catch {
    return undefined;
  }
}
