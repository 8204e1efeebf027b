import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { recordOf } from "./record-fixture.ts";
import { ContainerStore } from "./store.ts";

let root = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "glasshull-records-"));
});
afterEach(() => rmSync(root, { recursive: true }));

const open = () => new ContainerStore(root, () => undefined);
const directories = () => readdirSync(root).filter((name) => name.length === 64);
const record = (letter: string) => {
  const id = letter.repeat(64);
  return recordOf({ id, directory: join(root, id) });
};

test("a record that can't be read is told apart from one that was never written", async () => {
  const store = open();
  const [damaged, cut] = ["a".repeat(64), "b".repeat(64)];
  for (const id of [damaged, cut]) mkdirSync(store.directoryOf(id));
  writeFileSync(join(store.directoryOf(damaged), "config.v2.json"), "{");
  const { records, unreadable } = await store.load();
  assert.deepEqual([records.length, unreadable.length], [0, 1]);
  assert.deepEqual([store.hasRecord(damaged), store.hasRecord(cut)], [true, false]);
  assert.deepEqual(directories(), [damaged]);
});

test("a record is there from its creation to its removal, whole", async () => {
  const store = open();
  await store.load();
  const made = record("a");
  await store.begin(made);
  assert.equal(store.hasRecord(made.id), false);
  await store.create(made);
  assert.deepEqual((await open().load()).records, [made]);
  await store.remove(made);
  assert.deepEqual([(await open().load()).records, directories()], [[], []]);
});

/** What a directory holds when the engine was killed over its making or its removal, step by step. */
const cuts: readonly (readonly string[])[] = [
  [],
  ["hostname", "hosts"],
  ["hostname", "hosts", "hostconfig.json.7.0.tmp"],
  ["hostname", "hosts", "hostconfig.json", "config.v2.json.7.1.tmp"],
  ["hosts", "hostconfig.json"],
  ["log"],
];
for (const files of cuts)
  test(`a directory with [${files.join(" ")}] is what a killed engine left: it goes, its neighbours stay`, async () => {
    const before = open();
    await before.load();
    const [whole, cut] = [record("a"), record("b")];
    await before.begin(whole);
    await before.create(whole);
    await before.begin(cut);
    for (const name of files) writeFileSync(join(cut.directory, name), "");
    const { records, unreadable } = await open().load();
    assert.deepEqual([records, unreadable, directories()], [[whole], [], [whole.id]]);
  });

test("a creation that fails at its last file has made no record", async () => {
  const store = open();
  await store.load();
  const made = record("a");
  await store.begin(made);
  rmSync(made.directory, { recursive: true });
  await assert.rejects(store.create(made));
  assert.equal(store.hasRecord(made.id), false);
  await store.remove(made);
  assert.deepEqual(directories(), []);
});
