/** Clocks of the trace. keel reports CLOCK_MONOTONIC nanoseconds; spans are stored in epoch milliseconds. */

export const nowMs = (): number => performance.timeOrigin + performance.now();

/** Epoch milliseconds of a CLOCK_MONOTONIC reading in nanoseconds (`process.hrtime` reads the same clock). */
export function epochMsOfMonotonic(monotonicNs: bigint): number {
  const agoNs = process.hrtime.bigint() - monotonicNs;
  return nowMs() - Number(agoNs) / 1e6;
}
