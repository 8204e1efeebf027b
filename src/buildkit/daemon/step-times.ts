/**
 * When steps that only change the configuration were first made, by the digest of what they make: what makes an image of known steps
 * the same image again. Lifecycle: `openStepTimes` -> `at` ... -> disposal.
 */
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { HullError } from "../../platform/errors.ts";

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

/** Throws `failed-precondition` for a file of another schema. */
export function openStepTimes(path: string): StepTimes {
  mkdirSync(dirname(path), { recursive: true, mode: 0o711 });
  const sql = new DatabaseSync(path);
  try {
    const found = Number(sql.prepare("PRAGMA user_version").get()?.user_version ?? 0);
    if (found !== 0 && found !== SCHEMA_VERSION)
      throw new HullError(
        "failed-precondition",
        `${path} has schema ${found}, this version knows ${SCHEMA_VERSION}: move the file away`,
      );
    sql.exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; PRAGMA cache_size=-128;");
    // As text: nanoseconds are more than a number holds.
    sql.exec("CREATE TABLE IF NOT EXISTS steps (step TEXT PRIMARY KEY, created TEXT NOT NULL) WITHOUT ROWID");
    sql.exec(`PRAGMA user_version=${SCHEMA_VERSION}`);
    const times = new StepTimes(sql);
    times.trim();
    return times;
  } catch (error) {
    sql.close();
    throw error;
  }
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
