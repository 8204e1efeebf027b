import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { openTableFile } from "./table-file.ts";

const directory = mkdtempSync(join(tmpdir(), "hull-table-"));
after(() => rmSync(directory, { recursive: true, force: true }));

const file = (name: string, version = 1) => ({
  path: join(directory, name, "t.db"),
  version,
  schema: "CREATE TABLE IF NOT EXISTS things (name TEXT)",
  synchronous: "NORMAL" as const,
  cacheKb: 128,
});

test("nobody else can read a table, nor what SQLite puts beside it, whatever the mask", () => {
  const mask = process.umask(0);
  try {
    using sql = disposable(openTableFile(file("modes")));
    sql.value.exec("INSERT INTO things VALUES ('build argument')");
    const names = readdirSync(join(directory, "modes"));
    assert.ok(names.includes("t.db") && names.includes("t.db-wal"), names.join(" "));
    for (const name of names) assert.equal(statSync(join(directory, "modes", name)).mode & 0o077, 0, name);
  } finally {
    process.umask(mask);
  }
});

test("a file of another version is refused and left alone", () => {
  const first = openTableFile(file("versions", 2));
  first.exec("INSERT INTO things VALUES ('kept')");
  first.close();
  assert.throws(() => openTableFile(file("versions", 1)), /has schema 2, this version knows 1/);
  using again = disposable(openTableFile(file("versions", 2)));
  assert.deepEqual({ ...again.value.prepare("SELECT name FROM things").get() }, { name: "kept" });
});

function disposable<T extends { close(): void }>(value: T): Disposable & { readonly value: T } {
  return { value, [Symbol.dispose]: () => value.close() };
}
