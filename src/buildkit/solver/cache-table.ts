/** The build cache's SQLite file. Lifecycle: `openCacheTable` -> reads and writes, each whole or not at all -> `close`. */
import type { DatabaseSync, SQLOutputValue } from "node:sqlite";
import type { KeyParts } from "../explain/differences.ts";
import type { Vertex } from "../graph/vertex.ts";
import { openTableFile } from "../table-file.ts";
import type { Layer } from "./ports.ts";

export const CACHE_SCHEMA = 1;

/** A known result. */
export interface CacheRow {
  readonly key: string;
  /** What the keys of those that use the result are made of. */
  readonly outputKey: string;
  readonly chainId: string;
  /** Of the stack that it was made on. */
  readonly parentChainId: string;
  readonly layers: readonly Layer[];
  readonly kind: Vertex["kind"];
  readonly description: string;
  /** Hash of what a COPY selected; "" for others. */
  readonly content: string;
  /** Of the layer that it added. */
  readonly sizeBytes: number;
  readonly createdAtMs: number;
  /** 0: not since it was made. */
  readonly lastUsedAtMs: number;
  readonly usageCount: number;
}

const SCHEMA = `
CREATE TABLE IF NOT EXISTS results (key TEXT PRIMARY KEY, output_key TEXT NOT NULL, chain_id TEXT NOT NULL, parent_chain_id TEXT NOT NULL,
  layers TEXT NOT NULL, kind TEXT NOT NULL, description TEXT NOT NULL, content TEXT NOT NULL, size INTEGER NOT NULL,
  created INTEGER NOT NULL, used INTEGER NOT NULL, uses INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS results_chain ON results (chain_id);
CREATE TABLE IF NOT EXISTS aliases (fast_key TEXT PRIMARY KEY, content TEXT NOT NULL, made INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS steps (step TEXT PRIMARY KEY, key TEXT NOT NULL, parts TEXT NOT NULL, made INTEGER NOT NULL) WITHOUT ROWID;
`;

/** Remembered; the oldest go first. */
const MAX_STEPS = 5000;
const MAX_ALIASES = 50_000;

export class CacheTable implements Disposable {
  constructor(private readonly sql: DatabaseSync) {}

  find(key: string): CacheRow | undefined {
    const row = this.sql.prepare("SELECT * FROM results WHERE key = ?").get(key);
    return row && rowOf(row);
  }

  list(): readonly CacheRow[] {
    return this.sql.prepare("SELECT * FROM results").all().map(rowOf);
  }

  names(chainId: string): boolean {
    return this.sql.prepare("SELECT 1 FROM results WHERE chain_id = ? LIMIT 1").get(chainId) !== undefined;
  }

  insert(row: CacheRow): void {
    this.sql
      .prepare("INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
      .run(
        ...[row.key, row.outputKey, row.chainId, row.parentChainId, JSON.stringify(row.layers), row.kind],
        ...[row.description, row.content, row.sizeBytes, row.createdAtMs, row.lastUsedAtMs, row.usageCount],
      );
  }

  remove(keys: readonly string[]): void {
    this.#atOnce(() => {
      const results = this.sql.prepare("DELETE FROM results WHERE key = ?");
      for (const key of keys) results.run(key);
    });
  }

  /** They were used now. */
  touch(keys: Iterable<string>, nowMs: number): void {
    const update = this.sql.prepare("UPDATE results SET used = ?, uses = uses + 1 WHERE key = ?");
    this.#atOnce(() => {
      for (const key of keys) update.run(nowMs, key);
    });
  }

  /** The hash of contents that were found under this key. */
  alias(fastKey: string): string | undefined {
    return textOf(this.sql.prepare("SELECT content FROM aliases WHERE fast_key = ?").get(fastKey)?.content);
  }

  setAlias(fastKey: string, content: string, nowMs: number): void {
    this.sql.prepare("INSERT OR REPLACE INTO aliases VALUES (?, ?, ?)").run(fastKey, content, nowMs);
  }

  parts(step: string): { readonly key: string; readonly parts: KeyParts } | undefined {
    const row = this.sql.prepare("SELECT key, parts FROM steps WHERE step = ?").get(step);
    return row && { key: String(row.key), parts: JSON.parse(String(row.parts)) as KeyParts };
  }

  /** Of the step's parts. */
  partsKey(step: string): string | undefined {
    return textOf(this.sql.prepare("SELECT key FROM steps WHERE step = ?").get(step)?.key);
  }

  setParts(step: string, value: { readonly key: string; readonly parts: KeyParts }, nowMs: number): void {
    const { key, parts } = value;
    this.sql.prepare("INSERT OR REPLACE INTO steps VALUES (?, ?, ?, ?)").run(step, key, JSON.stringify(parts), nowMs);
  }

  /** Forgets the oldest of what only saves work or explains. */
  trim(): void {
    const oldest = (table: string, name: string): string =>
      `DELETE FROM ${table} WHERE ${name} IN (SELECT ${name} FROM ${table} ORDER BY made DESC LIMIT -1 OFFSET ?)`;
    this.sql.prepare(oldest("steps", "step")).run(MAX_STEPS);
    this.sql.prepare(oldest("aliases", "fast_key")).run(MAX_ALIASES);
  }

  [Symbol.dispose](): void {
    this.sql.close();
  }

  #atOnce(work: () => void): void {
    this.sql.exec("BEGIN IMMEDIATE");
    try {
      work();
      this.sql.exec("COMMIT");
    } catch (error) {
      this.sql.exec("ROLLBACK");
      throw error;
    }
  }
}

/** Throws `failed-precondition` for a file of another schema. */
export const openCacheTable = (path: string): CacheTable =>
  new CacheTable(openTableFile({ path, version: CACHE_SCHEMA, schema: SCHEMA, synchronous: "NORMAL", cacheKb: 1024 }));

const textOf = (value: SQLOutputValue | undefined): string | undefined =>
  typeof value === "string" ? value : undefined;

const rowOf = (row: Readonly<Record<string, SQLOutputValue>>): CacheRow => ({
  key: String(row.key),
  outputKey: String(row.output_key),
  chainId: String(row.chain_id),
  parentChainId: String(row.parent_chain_id),
  layers: JSON.parse(String(row.layers)) as Layer[],
  kind: String(row.kind) as Vertex["kind"],
  description: String(row.description),
  content: String(row.content),
  sizeBytes: Number(row.size),
  createdAtMs: Number(row.created),
  lastUsedAtMs: Number(row.used),
  usageCount: Number(row.uses),
});
