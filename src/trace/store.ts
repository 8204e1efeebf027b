/**
 * Where a daemon keeps its spans: the latest in memory, all of them in its own SQLite file, written once a second so that recording
 * never waits for a disk; what a trace brought in that second is one row, because a run has 150 spans. Lifecycle: open -> record... ->
 * close (flushes).
 */
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { SpanRecord } from "./span.ts";
import type { SpanSink } from "./tracer.ts";

export const SCHEMA_VERSION = 2;
const FLUSH_MS = 1000;
/** Rows: at least as many traces' worth of spans as a few thousand runs bring. */
const MAX_STORED = 20_000;
const TRIM_EVERY = 2_000;

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
    return ids.flatMap((id) => this.#spansOf(id));
  }

  /** The ids of the latest traces of which this daemon saw a span, newest first. */
  latest(count: number): string[] {
    this.flush();
    const rows = this.#db
      .prepare("SELECT trace, MAX(start) AS at FROM batches GROUP BY trace ORDER BY at DESC LIMIT ?")
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
    const traces = Map.groupBy(batch, (span) => span.traceId);
    const insert = this.#db.prepare("INSERT INTO batches(trace, start, spans) VALUES (?, ?, ?)");
    const touch = this.#db.prepare("INSERT OR IGNORE INTO touched(container, trace, start) VALUES (?, ?, ?)");
    this.#db.exec("BEGIN");
    for (const [trace, spans] of traces) {
      const start = Math.min(...spans.map((span) => span.startMs));
      insert.run(trace, start, JSON.stringify(spans));
      const containers = new Set(spans.map((span) => String(span.attributes.container ?? "")));
      for (const container of containers) if (container !== "") touch.run(container, trace, start);
    }
    this.#db.exec("COMMIT");
    this.#trim(traces.size);
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
    // Version 1 had a row per span. Traces are worth no conversion.
    this.#db.exec(
      `DROP TABLE IF EXISTS spans;
       CREATE TABLE batches(id INTEGER PRIMARY KEY, trace TEXT, start REAL, spans TEXT);
       CREATE INDEX by_trace ON batches(trace);
       CREATE TABLE touched(container TEXT, trace TEXT, start REAL, PRIMARY KEY(container, trace)) WITHOUT ROWID;
       PRAGMA user_version = ${SCHEMA_VERSION};`,
    );
  }

  #tracesOf(container: string): string[] {
    const rows = this.#db.prepare("SELECT trace FROM touched WHERE container = ? ORDER BY start").all(container);
    return rows.map((row) => String(row.trace));
  }

  #spansOf(trace: string): SpanRecord[] {
    const rows = this.#db.prepare("SELECT spans FROM batches WHERE trace = ?").all(trace);
    const spans = rows.flatMap((row) => JSON.parse(String(row.spans)) as SpanRecord[]);
    return spans.sort((a, b) => a.startMs - b.startMs);
  }

  #trim(added: number): void {
    this.#sinceTrim += added;
    if (this.#sinceTrim < TRIM_EVERY) return;
    this.#sinceTrim = 0;
    this.#db.prepare("DELETE FROM batches WHERE id <= (SELECT MAX(id) FROM batches) - ?").run(MAX_STORED);
    this.#db.exec("DELETE FROM touched WHERE start < (SELECT MIN(start) FROM batches)");
  }
}

/** SQLITE_FULL, or an I/O error where the file's shared memory could not grow. */
const isFull = (error: unknown): boolean =>
  error instanceof Error && /database or disk is full|disk I\/O error|unable to open database/.test(error.message);
