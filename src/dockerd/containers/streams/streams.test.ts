import assert from "node:assert/strict";
import { test } from "node:test";
import { DetachScanner, parseDetachKeys } from "./detach-keys.ts";
import { frame } from "./multiplex.ts";

test("detach keys are letters and control keys", () => {
  assert.deepEqual(parseDetachKeys(""), [16, 17]);
  assert.deepEqual(parseDetachKeys("ctrl-a,x,ctrl-@"), [1, 120, 0]);
  assert.throws(() => parseDetachKeys("ctrl-1"), /Invalid detach keys \(ctrl-1\) provided/);
});

test("the sequence detaches even when it comes in pieces, and a broken one reaches the process", () => {
  const scanner = new DetachScanner(parseDetachKeys("ctrl-p,ctrl-q"));
  assert.deepEqual(scanner.push(Buffer.from("a\x10")), { pass: Buffer.from("a"), detached: false });
  assert.deepEqual(scanner.push(Buffer.from("b\x10\x10")), { pass: Buffer.from("\x10b\x10"), detached: false });
  assert.deepEqual(scanner.push(Buffer.from("\x11")), { pass: Buffer.alloc(0), detached: true });
});

test("a frame has the stream and the length in big endian", () => {
  assert.deepEqual([...frame("stderr", Buffer.from("hi"))], [2, 0, 0, 0, 0, 0, 0, 2, 104, 105]);
});
