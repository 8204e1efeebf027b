import assert from "node:assert/strict";
import { test } from "node:test";
import type { ContainerConfig } from "../config.ts";
import type { Health, HealthResult } from "../record.ts";
import { delayMs, nextHealth, probeOf, startingHealth } from "./probe.ts";

const config = (Healthcheck: NonNullable<ContainerConfig["Healthcheck"]>): ContainerConfig =>
  ({ Healthcheck }) as unknown as ContainerConfig;
const probe = probeOf(config({ Test: ["CMD", "true"], Retries: 2, StartPeriod: 5e9, StartInterval: 1e9 }))!;
const result = (exitCode: number): HealthResult => ({ start: "", end: "", exitCode, output: "" });
const after = (codes: readonly number[], ranMs: number): Health =>
  codes.reduce((health, code) => nextHealth(health, result(code), { probe, ranMs }), startingHealth);

test("a check is a command, a shell's text, or none", () => {
  assert.deepEqual(probeOf(config({ Test: ["CMD-SHELL", "exit 0"] }))?.command, ["/bin/sh", "-c", "exit 0"]);
  assert.equal(probeOf(config({ Test: ["NONE"] })), undefined);
  assert.equal(probeOf(config({ Interval: 1 })), undefined);
});

test("defaults are 30 s between checks, 30 s for one, three failures", () => {
  const { intervalMs, timeoutMs, retries } = probeOf(config({ Test: ["CMD", "true"] }))!;
  assert.deepEqual([intervalMs, timeoutMs, retries], [30_000, 30_000, 3]);
});

test("failures in a row make it unhealthy, one success healthy", () => {
  assert.equal(after([1], 9000).status, "starting");
  assert.equal(after([1, 1], 9000).status, "unhealthy");
  assert.deepEqual(after([1, 1, 0], 9000).failingStreak, 0);
  assert.equal(after([1, 1, 0], 9000).status, "healthy");
});

test("failures within the start period do not count until it was healthy", () => {
  assert.equal(after([1, 1, 1], 1000).status, "starting");
  assert.equal(after([0, 1, 1], 1000).status, "unhealthy");
});

test("five results are kept", () => assert.equal(after([0, 0, 0, 0, 0, 0, 0], 9000).log.length, 5));

test("checks come faster in the start period", () => {
  assert.equal(delayMs(startingHealth, probe, 1000), 1000);
  assert.equal(delayMs(startingHealth, probe, 6000), 30_000);
});
