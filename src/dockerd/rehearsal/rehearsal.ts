/**
 * The code of a start is slow when it runs for the first time, and for some dozens of times after: a run takes 110 ms, then 60, then 48. A hulld that has
 * nothing else to do therefore rehearses: it starts containers that nobody sees (stage.ts) until its code and that of the daemons under
 * it is compiled.
 *
 * Lifecycle: `rehearse` once, when the daemons are known; it ends by itself, with the signal, or at the first failure.
 */
import { setTimeout as delay } from "node:timers/promises";
import { messageOf } from "../../platform/errors.ts";
import type { Engine } from "../engine.ts";
import { openStage } from "./stage.ts";

const ROUNDS = 40;
/** Nobody has asked for anything for so long: rehearsals keep out of the way of work. */
const QUIET_MS = 1000;

export interface RehearsalOptions {
  readonly signal: AbortSignal;
  /** When somebody last asked for something, as of performance.now(). */
  readonly lastRequestMs: () => number;
}

export async function rehearse(engine: Engine, { signal, lastRequestMs }: RehearsalOptions): Promise<void> {
  try {
    await untilQuiet(lastRequestMs, signal);
    const began = performance.now();
    {
      await using stage = await openStage(engine);
      for (let round = 0; round < ROUNDS; round++) {
        await untilQuiet(lastRequestMs, signal);
        await stage.perform();
      }
    }
    engine.log.info("rehearsed", { rounds: ROUNDS, ms: Math.round(performance.now() - began) });
  } catch (error) {
    if (!signal.aborted) engine.log.info(`no more rehearsals: ${messageOf(error)}`);
  }
}

async function untilQuiet(lastRequestMs: () => number, signal: AbortSignal): Promise<void> {
  for (let wait = 1; wait > 0; ) {
    wait = lastRequestMs() + QUIET_MS - performance.now();
    await delay(Math.max(0, wait), undefined, { signal });
  }
}
