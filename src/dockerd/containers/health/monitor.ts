/** Runs health checks. One timer per running container that has a check; each ends with the container's run. */

import { parseTimeNs, timeNow } from "../../time.ts";
import type { Container } from "../container.ts";
import type { ContainerEvents } from "../container-events.ts";
import type { HealthResult } from "../record.ts";
import { isActive } from "../state.ts";
import { delayMs, MAX_OUTPUT_BYTES, nextHealth, type Probe, probeOf, startingHealth } from "./probe.ts";

export interface ProbeOutcome {
  readonly exitCode: number;
  readonly output: string;
}

/** Runs a command in a container; rejects when `signal` aborts, after having ended it. */
export type RunProbe = (
  container: Container,
  command: readonly string[],
  limits: { readonly signal: AbortSignal; readonly maxBytes: number },
) => Promise<ProbeOutcome>;

export class HealthMonitor {
  constructor(
    private readonly events: ContainerEvents,
    private readonly runProbe: RunProbe,
  ) {}

  /** After each start; also for an adopted container, whose earlier results stay. Does nothing without a check. */
  start(container: Container): void {
    const probe = probeOf(container.record.config);
    if (!probe) return;
    const last = container.record.health?.log.at(-1);
    // Results of an earlier run say nothing about this one; an adopted container's stay.
    if (last === undefined || last.start < container.state.startedAt) container.show({ health: startingHealth });
    this.#schedule(container, probe, container.run.signal);
  }

  #schedule(container: Container, probe: Probe, run: AbortSignal): void {
    if (run.aborted || !isActive(container.state)) return;
    const timer = setTimeout(
      () => void this.#check(container, probe, run),
      delayMs(container.record.health ?? startingHealth, probe, ranMs(container)),
    );
    timer.unref();
    run.addEventListener("abort", () => clearTimeout(timer), { once: true });
  }

  async #check(container: Container, probe: Probe, run: AbortSignal): Promise<void> {
    if (container.state.kind === "running") {
      const result = await this.#probe(container, probe, run);
      if (run.aborted) return;
      await container.queue.run(() => this.#record(container, probe, result));
    }
    this.#schedule(container, probe, run);
  }

  async #probe(container: Container, probe: Probe, run: AbortSignal): Promise<HealthResult> {
    const start = timeNow();
    this.events.container(container.record, `exec_create: ${probe.command.join(" ")}`);
    const timeout = AbortSignal.timeout(probe.timeoutMs);
    try {
      const signal = AbortSignal.any([timeout, run]);
      const { exitCode, output } = await this.runProbe(container, probe.command, {
        signal,
        maxBytes: MAX_OUTPUT_BYTES,
      });
      return { start, end: timeNow(), exitCode, output };
    } catch (error) {
      const output = timeout.aborted
        ? `Health check exceeded timeout (${probe.timeoutMs / 1000}s)`
        : error instanceof Error
          ? error.message
          : String(error);
      return { start, end: timeNow(), exitCode: -1, output };
    }
  }

  async #record(container: Container, probe: Probe, result: HealthResult): Promise<void> {
    if (!isActive(container.state)) return;
    const before = container.record.health ?? startingHealth;
    const health = nextHealth(before, result, { probe, ranMs: ranMs(container) });
    await container.settle({ health });
    if (health.status !== before.status) this.events.container(container.record, `health_status: ${health.status}`);
  }
}

function ranMs(container: Container): number {
  const started = parseTimeNs(container.state.startedAt);
  return started === undefined ? 0 : Date.now() - Number(started / 1_000_000n);
}
