import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { HullError } from "./errors.ts";
import { isNoSpace, Reserve } from "./reserve.ts";

const full = () => Object.assign(new Error("write: no space left on device"), { code: "ENOSPC" });

test("on a full disk the work is done a second time with the room of the reserve, which is filled up again", () => {
  const directory = mkdtempSync(join(tmpdir(), "hull-reserve-"));
  try {
    const path = join(directory, "reserve");
    const reserve = new Reserve(path, 100_000);
    const size = statSync(path).size;
    assert.ok(size >= 100_000);
    const seen: number[] = [];
    const result = reserve.run(() => {
      seen.push(statSync(path).size);
      if (seen.length === 1) throw full();
      return "done";
    });
    assert.equal(result, "done");
    assert.deepEqual(seen, [size, 0]);
    assert.equal(statSync(path).size, size);
    const other = new Error("something else");
    assert.throws(() => reserve.run(() => assert.fail(other)), other);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("a full disk is known by its errno, SQLite's words and what caused an error", () => {
  assert.ok(isNoSpace(full()));
  assert.ok(isNoSpace(new HullError("internal", "write x", { cause: full() })));
  assert.ok(isNoSpace(new Error("database or disk is full")));
  assert.ok(isNoSpace(new HullError("resource-exhausted", "mkdirAll /x: ENOSPC (create)")));
  assert.ok(!isNoSpace(new Error("ENOENT: no such file")));
  assert.ok(!isNoSpace(undefined));
});
