import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mock, test } from "node:test";
import { epochMsOfMonotonic, nowMs } from "./clock.ts";
import { Tracer } from "./tracer.ts";

const HOUR_MS = 3_600_000;
const near = (actual: number, expected: number) =>
  assert.ok(Math.abs(actual - expected) < 1000, `${actual} is not near ${expected}`);

test("when the machine's clock is set, times follow and durations do not", () => {
  // The runtime's hrtime begins with the process; the kernel's clock, to a hundredth of a second, is what /proc/uptime says.
  const reading = BigInt(Math.round(Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]) * 1000)) * 1_000_000n;
  const before = epochMsOfMonotonic(reading);
  near(before, Date.now());
  const durations: number[] = [];
  const tracer = new Tracer("test", { record: (span) => durations.push(span.durationMs) });
  const span = tracer.start("over the change", {});
  const real = Date.now.bind(Date);
  const clock = mock.method(Date, "now", () => real() + HOUR_MS);
  try {
    near(nowMs(), real() + HOUR_MS);
    near(epochMsOfMonotonic(reading), before + HOUR_MS);
    span.end();
  } finally {
    clock.mock.restore();
  }
  near(nowMs(), real());
  near(epochMsOfMonotonic(reading), before);
  near(durations[0]!, 0);
});
