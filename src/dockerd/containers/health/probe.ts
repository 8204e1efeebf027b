/** What a health check is and what its results make of a container's health. Pure. */
import type { ContainerConfig } from "../config.ts";
import type { Health, HealthResult } from "../record.ts";

const SECOND_NS = 1_000_000_000;
const MAX_LOG = 5;
export const MAX_OUTPUT_BYTES = 4096;

export interface Probe {
  readonly command: readonly string[];
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly startPeriodMs: number;
  readonly startIntervalMs: number;
  readonly retries: number;
}

/** undefined: the container has none, or ["NONE"]. */
export function probeOf(config: ContainerConfig): Probe | undefined {
  const check = config.Healthcheck;
  const [kind, ...rest] = check?.Test ?? [];
  const shell = config.Shell ?? ["/bin/sh", "-c"];
  const command = kind === "CMD" ? rest : kind === "CMD-SHELL" ? [...shell, ...rest] : [];
  if (!check || command.length === 0) return undefined;
  const ms = (ns: number | undefined, standard: number): number => (ns || standard) / 1e6;
  return {
    command,
    intervalMs: ms(check.Interval, 30 * SECOND_NS),
    timeoutMs: ms(check.Timeout, 30 * SECOND_NS),
    startPeriodMs: ms(check.StartPeriod, 0),
    startIntervalMs: ms(check.StartInterval, 5 * SECOND_NS),
    retries: check.Retries || 3,
  };
}

export const startingHealth: Health = { status: "starting", failingStreak: 0, log: [] };

/** A failure within the start period counts nothing while the container has not been healthy yet. */
export function nextHealth(
  health: Health,
  result: HealthResult,
  facts: { readonly probe: Probe; readonly ranMs: number },
): Health {
  const log = [...health.log, result].slice(-MAX_LOG);
  if (result.exitCode === 0) return { status: "healthy", failingStreak: 0, log };
  if (health.status === "starting" && facts.ranMs < facts.probe.startPeriodMs) return { ...health, log };
  const failingStreak = health.failingStreak + 1;
  return { status: failingStreak >= facts.probe.retries ? "unhealthy" : health.status, failingStreak, log };
}

export const delayMs = (health: Health, probe: Probe, ranMs: number): number =>
  health.status === "starting" && ranMs < probe.startPeriodMs ? probe.startIntervalMs : probe.intervalMs;
