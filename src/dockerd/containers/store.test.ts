import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ContainerStore } from "./store.ts";

test("a record that can't be read is told apart from one that was never written", async () => {
  const root = mkdtempSync(join(tmpdir(), "glasshull-records-"));
  try {
    const store = new ContainerStore(root, () => undefined);
    const [damaged, cut] = ["a".repeat(64), "b".repeat(64)];
    for (const id of [damaged, cut]) mkdirSync(store.directoryOf(id));
    writeFileSync(join(store.directoryOf(damaged), "config.v2.json"), "{");
    const { records, unreadable } = await store.load();
    assert.deepEqual([records.length, unreadable.length], [0, 2]);
    assert.deepEqual([store.hasRecord(damaged), store.hasRecord(cut)], [true, false]);
  } finally {
    rmSync(root, { recursive: true });
  }
});
