/**
 * Where a daemon keeps its spans: the latest in memory, all of them in its own SQLite file, written in one batch a
 * second so that recording never waits for a disk. Lifecycle: open -> record... -> close (flushes).
 */
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { SpanRecord } from "./span.ts";
import type { SpanSink } from "./tracer.ts";

export const SCHEMA_VERSION = 1;
const FLUSH_MS = 1000;
const MAX_STORED = 200_000;
const TRIM_EVERY = 20_000;

export interface SpanQuery {
  readonly traceId?: string;
  /** A container id: every span of every trace in which a span has this `container` attribute. */
  readonly container?: string;
}

export class SpanStore implements SpanSink, Disposable {
  #db: DatabaseSync;
  #pending: SpanRecord[] = [];
  #timer: NodeJS.Timeout | undefined;
  #sinceTrim = 0;

  constructor(path: string) {
    mkdirSync(dirname(path), { recursive: true, mode: 0o710 });
    this.#db = new DatabaseSync(path);
    try {
      this.#prepare(path);
    } catch (error) {
      if (!isFull(error)) throw error;
      // A full disk keeps no daemon from starting: until the next start its spans are in memory only.
      this.#db.close();
      this.#db = new DatabaseSync(":memory:");
      this.#prepare(path);
    }
  }

  #prepare(path: string): void {
    this.#db.exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; PRAGMA cache_size=-256;");
    this.#migrate(path);
  }

  record(span: SpanRecord): void {
    this.#pending.push(span);
    this.#timer ??= setTimeout(() => this.flush(), FLUSH_MS).unref();
  }

  /** Spans of one trace, or of every trace that touches a container, oldest first. Includes what is not flushed yet. */
  find(query: SpanQuery): SpanRecord[] {
    this.flush();
    const ids = query.traceId !== undefined ? [query.traceId] : this.#tracesOf(query.container ?? "");
    return ids.flatMap((id) => this.#rows("SELECT span FROM spans WHERE trace = ? ORDER BY start", id));
  }

  /** The ids of the latest traces of which this daemon saw a span, newest first. */
  latest(count: number): string[] {
    this.flush();
    const rows = this.#db
      .prepare("SELECT trace, MAX(start) AS at FROM spans GROUP BY trace ORDER BY at DESC LIMIT ?")
      .all(count);
    return rows.map((row) => String(row.trace));
  }

  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#pending.length === 0) return;
    const batch = this.#pending;
    this.#pending = [];
    try {
      this.#write(batch);
    } catch (error) {
      if (!isFull(error)) throw error;
      // A trace is not worth the daemon, nor the memory that waiting for room would take: these spans are lost.
      if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
    }
  }

  #write(batch: readonly SpanRecord[]): void {
    const insert = this.#db.prepare("INSERT INTO spans(trace, container, start, span) VALUES (?, ?, ?, ?)");
    this.#db.exec("BEGIN");
    for (const span of batch) {
      insert.run(span.traceId, String(span.attributes.container ?? ""), span.startMs, JSON.stringify(span));
    }
    this.#db.exec("COMMIT");
    this.#trim(batch.length);
  }

  [Symbol.dispose](): void {
    this.flush();
    this.#db.close();
  }

  #migrate(path: string): void {
    const version = Number(this.#db.prepare("PRAGMA user_version").get()?.user_version ?? 0);
    if (version > SCHEMA_VERSION) {
      throw new Error(
        `${path} has schema ${version}, this version knows ${SCHEMA_VERSION}: use the newer hull, or move the file away`,
      );
    }
    if (version === SCHEMA_VERSION) return;
    this.#db.exec(
      `CREATE TABLE IF NOT EXISTS spans(id INTEGER PRIMARY KEY, trace TEXT, container TEXT, start REAL, span TEXT);
       CREATE INDEX IF NOT EXISTS by_trace ON spans(trace);
       CREATE INDEX IF NOT EXISTS by_container ON spans(container) WHERE container <> '';
       PRAGMA user_version = ${SCHEMA_VERSION};`,
    );
  }

  #tracesOf(container: string): string[] {
    const rows = this.#db
      .prepare("SELECT trace, MIN(start) AS at FROM spans WHERE container = ? GROUP BY trace ORDER BY at")
      .all(container);
    return rows.map((row) => String(row.trace));
  }

  #rows(sql: string, ...values: (string | number)[]): SpanRecord[] {
    return this.#db
      .prepare(sql)
      .all(...values)
      .map((row) => JSON.parse(String(row.span)) as SpanRecord);
  }

  #trim(added: number): void {
    this.#sinceTrim += added;
    if (this.#sinceTrim < TRIM_EVERY) return;
    this.#sinceTrim = 0;
    this.#db.prepare("DELETE FROM spans WHERE id <= (SELECT MAX(id) FROM spans) - ?").run(MAX_STORED);
  }
}

/** SQLITE_FULL, or an I/O error where the file's shared memory could not grow. */
const isFull = (error: unknown): boolean =>
  error instanceof Error && /database or disk is full|disk I\/O error|unable to open database/.test(error.message);
