/**
 * What is known of builds, in SQLite; their logs and other large things are blobs, whose names and users are here.
 * Lifecycle: `openHistoryTable` -> reads and writes, each whole or not at all -> disposal.
 */
import type { DatabaseSync, SQLOutputValue } from "node:sqlite";
import { openTableFile } from "../table-file.ts";

const SCHEMA_VERSION = 1;
const SCHEMA = `
CREATE TABLE IF NOT EXISTS builds (ref TEXT PRIMARY KEY, created INTEGER NOT NULL, completed INTEGER NOT NULL, pinned INTEGER NOT NULL,
  record BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS blobs (digest TEXT PRIMARY KEY, size INTEGER NOT NULL, made INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS uses (ref TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (ref, digest)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS uses_digest ON uses (digest);
CREATE TABLE IF NOT EXISTS parts (key TEXT PRIMARY KEY, digest TEXT NOT NULL) WITHOUT ROWID;
`;

export interface BuildRow {
  readonly ref: string;
  readonly createdMs: number;
  /** 0: it is under way. */
  readonly completedMs: number;
  readonly pinned: boolean;
  /** A BuildHistoryRecord, encoded. */
  readonly record: Uint8Array;
}

export interface BlobRow {
  /** "sha256:..." */
  readonly digest: string;
  readonly size: number;
  readonly madeMs: number;
}

export interface HistoryLimits {
  readonly builds: number;
  readonly ageMs: number;
  readonly bytes: number;
}

export class HistoryTable implements Disposable {
  constructor(private readonly sql: DatabaseSync) {}

  put({ ref, createdMs, completedMs, pinned, record }: BuildRow): void {
    this.sql
      .prepare("INSERT OR REPLACE INTO builds VALUES (?, ?, ?, ?, ?)")
      .run(ref, createdMs, completedMs, pinned ? 1 : 0, record);
  }

  find(ref: string): BuildRow | undefined {
    const row = this.sql.prepare("SELECT * FROM builds WHERE ref = ?").get(ref);
    return row && buildOf(row);
  }

  /** Oldest first. */
  list(): readonly BuildRow[] {
    return this.sql.prepare("SELECT * FROM builds ORDER BY created, ref").all().map(buildOf);
  }

  /** With the blobs that it alone used, whose names are answered: their files can go. */
  remove(ref: string): readonly string[] {
    this.sql.prepare("DELETE FROM builds WHERE ref = ?").run(ref);
    this.sql.prepare("DELETE FROM uses WHERE ref = ?").run(ref);
    return this.removeUnused();
  }

  removeUnused(): readonly string[] {
    const unused = "SELECT digest FROM blobs WHERE digest NOT IN (SELECT digest FROM uses)";
    const digests = this.sql
      .prepare(unused)
      .all()
      .map(({ digest }) => String(digest));
    this.sql.prepare(`DELETE FROM parts WHERE digest IN (${unused})`).run();
    this.sql.prepare("DELETE FROM blobs WHERE digest NOT IN (SELECT digest FROM uses)").run();
    return digests;
  }

  addBlob({ digest, size, madeMs }: BlobRow, ref: string): void {
    this.sql.prepare("INSERT OR REPLACE INTO blobs VALUES (?, ?, ?)").run(digest, size, madeMs);
    this.use(ref, digest);
  }

  use(ref: string, digest: string): void {
    this.sql.prepare("INSERT OR IGNORE INTO uses VALUES (?, ?)").run(ref, digest);
  }

  blob(digest: string): BlobRow | undefined {
    const row = this.sql.prepare("SELECT * FROM blobs WHERE digest = ?").get(digest);
    return row && { digest, size: Number(row.size), madeMs: Number(row.made) };
  }

  /** The blob with the parts of a step's key. */
  parts(key: string): string | undefined {
    const row = this.sql.prepare("SELECT digest FROM parts WHERE key = ?").get(key);
    return row && String(row.digest);
  }

  setParts(key: string, digest: string): void {
    this.sql.prepare("INSERT OR REPLACE INTO parts VALUES (?, ?)").run(key, digest);
  }

  /** Ended builds that are too many, too old or take too much, the oldest first; pinned ones stay. */
  excess({ builds, ageMs, bytes }: HistoryLimits, nowMs: number): readonly string[] {
    const ended = this.sql
      .prepare(
        `SELECT ref, completed, (SELECT coalesce(sum(size), 0) FROM uses JOIN blobs USING (digest) WHERE uses.ref = builds.ref) AS bytes
         FROM builds WHERE completed > 0 AND pinned = 0 ORDER BY created DESC, ref`,
      )
      .all();
    let [count, sum] = [0, 0];
    const found: string[] = [];
    for (const row of ended) {
      [count, sum] = [count + 1, sum + Number(row.bytes)];
      if (count > builds || sum > bytes || Number(row.completed) < nowMs - ageMs) found.push(String(row.ref));
    }
    return found.reverse();
  }

  [Symbol.dispose](): void {
    this.sql.close();
  }
}

const buildOf = (row: Record<string, SQLOutputValue>): BuildRow => ({
  ref: String(row.ref),
  createdMs: Number(row.created),
  completedMs: Number(row.completed),
  pinned: row.pinned === 1,
  record: row.record as Uint8Array,
});

/** Throws `failed-precondition` for a file of another schema. */
export const openHistoryTable = (path: string): HistoryTable =>
  new HistoryTable(openTableFile({ path, version: SCHEMA_VERSION, schema: SCHEMA, synchronous: "OFF", cacheKb: 128 }));
