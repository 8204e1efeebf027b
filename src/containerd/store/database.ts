/**
 * Opens the daemon's SQLite files (WAL). Each carries a schema version; another one is refused and never rewritten. A daemon has its
 * files for itself from its first read to its end: all of it is in its memory, so two of them would contradict each other.
 * Lifecycle: open -> use -> dispose.
 */
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { HullError, messageOf } from "../../platform/errors.ts";
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
  /** No other process may open it meanwhile: the kernel holds the lock for this one until it ends, however it ends. */
  readonly exclusive?: boolean;
}

const BUSY_MS = 2000;
/** Reads are from our own memory: SQLite needs few pages of its own. */
const CACHE_KB = 256;

/** Throws `failed-precondition` for a file of another schema version, `conflict` for one that another process has for itself. */
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
    db.exec(`PRAGMA busy_timeout=${BUSY_MS}; PRAGMA locking_mode=${options.exclusive ? "EXCLUSIVE" : "NORMAL"};`);
    const found = Number(db.prepare("PRAGMA user_version").get()?.user_version ?? 0);
    if (found !== 0 && found !== options.schemaVersion) throw unknownSchema(options, found);
    db.exec(`PRAGMA journal_mode=WAL; PRAGMA synchronous=${options.synchronous};`);
    db.exec(`PRAGMA cache_size=-${CACHE_KB}`);
    if (found === 0) db.exec(`PRAGMA user_version=${options.schemaVersion}`);
    return db;
  } catch (error) {
    db.close();
    throw /database is locked/.test(messageOf(error)) ? inUse(options, error) : error;
  }
}

const inUse = ({ path }: DatabaseOptions, cause: unknown): HullError =>
  new HullError("conflict", `${path} is in use by another process: stop that one, or give this one roots of its own`, {
    cause,
  });

const unknownSchema = (options: DatabaseOptions, found: number): HullError =>
  new HullError(
    "failed-precondition",
    `${options.path} has schema ${found}, this version knows ${options.schemaVersion}: start the hull-containerd that wrote it, or move the file away`,
    { facts: { path: options.path, schema: found } },
  );
