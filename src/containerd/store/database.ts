/**
 * Opens the daemon's SQLite files (WAL). Each carries a schema version; another one is refused and never rewritten.
 * Lifecycle: open -> use -> dispose.
 */
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { HullError } from "../../platform/errors.ts";
import type { Reserve } from "../../platform/reserve.ts";

export interface Database {
  readonly sql: DatabaseSync;
  /** For what must be recorded on a full disk too. */
  readonly reserve: Reserve;
  close(): void;
}

export interface DatabaseOptions {
  readonly path: string;
  /** FULL: what was answered survives a power cut. NORMAL: survives every crash of a process. */
  readonly synchronous: "FULL" | "NORMAL";
  readonly schemaVersion: number;
  /** On the same file system. */
  readonly reserve: Reserve;
}

/** Reads are from our own memory: SQLite needs few pages of its own. */
const CACHE_KB = 256;

/** Throws `failed-precondition` for a file of another schema version. */
export function openDatabase(options: DatabaseOptions): Database {
  mkdirSync(dirname(options.path), { recursive: true, mode: 0o710 });
  const { reserve } = options;
  const sql = reserve.run(() => open(options));
  return {
    sql,
    reserve,
    close: () => {
      sql.close();
      reserve.fill(); // With the room of the log, which is gone.
    },
  };
}

function open(options: DatabaseOptions): DatabaseSync {
  const db = new DatabaseSync(options.path);
  try {
    const found = Number(db.prepare("PRAGMA user_version").get()?.user_version ?? 0);
    if (found !== 0 && found !== options.schemaVersion) throw unknownSchema(options, found);
    db.exec(`PRAGMA journal_mode=WAL; PRAGMA synchronous=${options.synchronous}; PRAGMA busy_timeout=2000;`);
    db.exec(`PRAGMA cache_size=-${CACHE_KB}`);
    if (found === 0) db.exec(`PRAGMA user_version=${options.schemaVersion}`);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

const unknownSchema = (options: DatabaseOptions, found: number): HullError =>
  new HullError(
    "failed-precondition",
    `${options.path} has schema ${found}, this version knows ${options.schemaVersion}: start the hull-containerd that wrote it, or move the file away`,
    { facts: { path: options.path, schema: found } },
  );
