import assert from "node:assert/strict";
import { linkSync, mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { FileEntry } from "../files/entry.ts";
import { objectName } from "../files/object-name.ts";
import { file } from "../files/tree-harness.ts";
import { encodeIndex } from "../files/tree-index.ts";
import { collectContexts, UNUSED_MS } from "./collect.ts";

test("only files that nothing links to, no client has and nothing touched for two days go", async () => {
  const directory = mkdtempSync(join(tmpdir(), "hull-collect-"));
  try {
    const put = (entry: FileEntry): string => {
      const name = objectName(entry);
      mkdirSync(join(directory, "objects", name.slice(0, 2)), { recursive: true });
      writeFileSync(join(directory, "objects", name.slice(0, 2), name), "12345");
      return name;
    };
    const entry = (path: string, digit: string): FileEntry => ({ ...file(path), sha256: digit.repeat(64) });
    const [linked, known, unused] = [entry("a", "1"), entry("b", "2"), entry("c", "3")];
    const [first, second] = [linked, known, unused].map(put);
    linkSync(join(directory, "objects/11", first!), join(directory, "layer"));
    mkdirSync(join(directory, "clients"));
    writeFileSync(join(directory, "clients/x"), encodeIndex([known]));
    const left = () =>
      readdirSync(join(directory, "objects")).flatMap((shelf) => readdirSync(join(directory, "objects", shelf)));
    assert.deepEqual(await collectContexts(directory), { files: 0, bytes: 0 });
    const later = Date.now() + UNUSED_MS + 1000;
    utimesSync(join(directory, "clients/x"), later / 1000, later / 1000);
    assert.deepEqual(await collectContexts(directory, later), { files: 1, bytes: 5 });
    assert.deepEqual(left().sort(), [first, second].sort());
    assert.deepEqual(await collectContexts(directory, later + UNUSED_MS + 2000), { files: 1, bytes: 5 });
    assert.deepEqual(left(), [first]);
    assert.deepEqual(readdirSync(join(directory, "clients")), []);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
