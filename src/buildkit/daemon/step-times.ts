/**
 * When steps that only change the configuration were first made, by the digest of what they make: what makes an image of known steps
 * the same image again. Lifecycle: `openStepTimes` -> `at` ... -> disposal.
 */
import type { DatabaseSync } from "node:sqlite";
import { openTableFile } from "../table-file.ts";

const SCHEMA_VERSION = 1;
/** The oldest go first. */
const MAX_STEPS = 20_000;

export interface StepTime {
  readonly createdNs: bigint;
  /** An earlier build made it. */
  readonly known: boolean;
}

export class StepTimes implements Disposable {
  constructor(private readonly sql: DatabaseSync) {}

  /** undefined: never made. */
  find(step: string): bigint | undefined {
    const row = this.sql.prepare("SELECT created FROM steps WHERE step = ?").get(step);
    return row && BigInt(String(row.created));
  }

  set(step: string, createdNs: bigint): void {
    this.sql.prepare("INSERT OR REPLACE INTO steps VALUES (?, ?)").run(step, String(createdNs));
  }

  /** At a start. */
  trim(): void {
    this.sql
      .prepare("DELETE FROM steps WHERE step IN (SELECT step FROM steps ORDER BY created DESC LIMIT -1 OFFSET ?)")
      .run(MAX_STEPS);
  }

  [Symbol.dispose](): void {
    this.sql.close();
  }
}

/** As text: nanoseconds are more than a number holds. */
const SCHEMA = "CREATE TABLE IF NOT EXISTS steps (step TEXT PRIMARY KEY, created TEXT NOT NULL) WITHOUT ROWID";

/** Throws `failed-precondition` for a file of another schema. */
export function openStepTimes(path: string): StepTimes {
  const times = new StepTimes(
    openTableFile({ path, version: SCHEMA_VERSION, schema: SCHEMA, synchronous: "OFF", cacheKb: 128 }),
  );
  times.trim();
  return times;
}

/** The times of one build. `fresh`: what was made before counts for nothing (--no-cache). */
export class BuildTimes {
  readonly #seen = new Map<string, StepTime>();

  constructor(
    private readonly times: StepTimes,
    private readonly fresh: boolean,
  ) {}

  at(step: string): StepTime {
    const seen = this.#seen.get(step);
    if (seen) return seen;
    const found = this.fresh ? undefined : this.times.find(step);
    const time = { createdNs: found ?? BigInt(Date.now()) * 1_000_000n, known: found !== undefined };
    this.#seen.set(step, time);
    if (found === undefined) this.times.set(step, time.createdNs);
    return time;
  }
}
