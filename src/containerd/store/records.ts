/**
 * Immutable records by namespace and key: in memory, so that reads never wait, each change written through to its
 * SQLite table before it is visible; a deletion works on a full disk too. Keys keep their order of creation.
 */
import type { StatementSync } from "node:sqlite";
import { HullError } from "../../platform/errors.ts";
import type { Database } from "./database.ts";

export interface RecordsOptions<T> {
  readonly db: Database;
  /** Table name and, in messages, what a record is: "image". */
  readonly table: string;
  readonly encode: (value: T) => string | Uint8Array;
  readonly decode: (stored: string | Uint8Array) => T;
  /** What stays in memory of a value; `whole` reads the rest again. Default: all of it. */
  readonly keep?: (value: T) => T;
}

/** Codec of plain data. */
export const asJson = <T>(): Pick<RecordsOptions<T>, "encode" | "decode"> => ({
  encode: (value) => JSON.stringify(value),
  decode: (stored) => JSON.parse(String(stored)) as T,
});

export class Records<T> {
  readonly #spaces = new Map<string, Map<string, T>>();
  readonly #put: StatementSync;
  readonly #drop: StatementSync;
  readonly #read: StatementSync;

  constructor(private readonly options: RecordsOptions<T>) {
    const { table } = options;
    const { sql: db } = options.db;
    db.exec(
      `CREATE TABLE IF NOT EXISTS ${table}(namespace TEXT, key TEXT, value BLOB, PRIMARY KEY(namespace, key)) WITHOUT ROWID`,
    );
    this.#put = db.prepare(
      `INSERT INTO ${table}(namespace, key, value) VALUES(?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value`,
    );
    this.#drop = db.prepare(`DELETE FROM ${table} WHERE namespace = ? AND key = ?`);
    this.#read = db.prepare(`SELECT value FROM ${table} WHERE namespace = ? AND key = ?`);
    for (const row of db.prepare(`SELECT namespace, key, value FROM ${table}`).all()) {
      const value = options.decode(row.value as string | Uint8Array);
      this.#space(String(row.namespace)).set(String(row.key), this.#kept(value));
    }
  }

  find(namespace: string, key: string): T | undefined {
    return this.#spaces.get(namespace)?.get(key);
  }

  /** Throws `not-found` with containerd's words. */
  get(namespace: string, key: string): T {
    const value = this.find(namespace, key);
    if (value === undefined) throw new HullError("not-found", `${this.options.table} "${key}": not found`);
    return value;
  }

  /** With what is not kept in memory. Throws `not-found`. */
  whole(namespace: string, key: string): T {
    const kept = this.get(namespace, key);
    if (!this.options.keep) return kept;
    return this.options.decode(this.#read.get(namespace, key)!.value as string | Uint8Array);
  }

  list(namespace: string): T[] {
    return [...(this.#spaces.get(namespace)?.values() ?? [])];
  }

  keys(namespace: string): string[] {
    return [...(this.#spaces.get(namespace)?.keys() ?? [])];
  }

  /** Namespaces that hold a record. */
  namespaces(): string[] {
    return [...this.#spaces].filter(([, space]) => space.size > 0).map(([name]) => name);
  }

  /** Throws `already-exists`. */
  create(namespace: string, key: string, value: T): void {
    if (this.find(namespace, key) !== undefined) {
      throw new HullError("already-exists", `${this.options.table} "${key}": already exists`);
    }
    this.put(namespace, key, value);
  }

  put(namespace: string, key: string, value: T): void {
    this.#put.run(namespace, key, this.options.encode(value));
    this.#space(namespace).set(key, this.#kept(value));
  }

  /** Puts a record in the place of another: a crash leaves the one or the other. Throws `already-exists`. */
  rename(namespace: string, from: string, to: { readonly key: string; readonly value: T }): void {
    if (this.find(namespace, to.key) !== undefined) {
      throw new HullError("already-exists", `${this.options.table} "${to.key}": already exists`);
    }
    const { sql } = this.options.db;
    sql.exec("BEGIN");
    try {
      this.#put.run(namespace, to.key, this.options.encode(to.value));
      this.#drop.run(namespace, from);
      sql.exec("COMMIT");
    } catch (error) {
      if (sql.isTransaction) sql.exec("ROLLBACK");
      throw error;
    }
    const space = this.#space(namespace);
    space.set(to.key, this.#kept(to.value));
    space.delete(from);
  }

  /** Absent is fine. True when there was one. */
  delete(namespace: string, key: string): boolean {
    if (this.find(namespace, key) === undefined) return false;
    this.options.db.reserve.run(() => this.#drop.run(namespace, key));
    return this.#space(namespace).delete(key);
  }

  #kept(value: T): T {
    return this.options.keep ? this.options.keep(value) : value;
  }

  #space(namespace: string): Map<string, T> {
    const space = this.#spaces.get(namespace) ?? new Map<string, T>();
    this.#spaces.set(namespace, space);
    return space;
  }
}
