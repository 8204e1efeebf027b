/** The daemon's own SQLite files: one process, a version, readable by nobody else (what builds were given stands in them). */
import { closeSync, mkdirSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { HullError } from "../platform/errors.ts";

export interface TableFile {
  readonly path: string;
  readonly version: number;
  /** CREATE ... IF NOT EXISTS. */
  readonly schema: string;
  /** NORMAL survives a power cut; OFF is for what can be lost with it. */
  readonly synchronous: "NORMAL" | "OFF";
  readonly cacheKb: number;
}

/** Throws failed-precondition for a file of another version, which is left alone. */
export function openTableFile({ path, version, schema, synchronous, cacheKb }: TableFile): DatabaseSync {
  mkdirSync(dirname(path), { recursive: true, mode: 0o711 });
  // What SQLite puts beside the file has its mode.
  closeSync(openSync(path, "a", 0o600));
  const sql = new DatabaseSync(path);
  try {
    sql.exec("PRAGMA busy_timeout=2000");
    const found = Number(sql.prepare("PRAGMA user_version").get()?.user_version ?? 0);
    if (found !== 0 && found !== version) throw unknownVersion(path, found, version);
    sql.exec(`PRAGMA journal_mode=WAL; PRAGMA synchronous=${synchronous}; PRAGMA cache_size=-${cacheKb};`);
    sql.exec(`${schema}; PRAGMA user_version=${version}`);
    return sql;
  } catch (error) {
    sql.close();
    throw error;
  }
}

const unknownVersion = (path: string, found: number, known: number): HullError =>
  new HullError(
    "failed-precondition",
    `${path} has schema ${found}, this version knows ${known}: start the hull-buildkitd that wrote it, or move the file away`,
    { facts: { path, schema: found } },
  );
