import assert from "node:assert/strict";
import { test } from "node:test";
import { DetachWatch } from "./detach-keys.ts";

const cases: readonly (readonly [string | undefined, readonly string[], boolean])[] = [
  [undefined, ["a\x10\x11"], true],
  [undefined, ["\x10", "\x11"], true],
  [undefined, ["\x10", "x", "\x11"], false],
  [undefined, ["\x10\x10\x11"], true],
  ["x", ["abx"], true],
  ["ctrl-a,b", ["\x01", "b"], true],
  ["ctrl-a,b", ["a", "b"], false],
];
for (const [keys, typed, expected] of cases)
  test(`with detach keys ${keys} ${JSON.stringify(typed)} ${expected ? "detaches" : "does not detach"}`, () => {
    const watch = new DetachWatch(keys);
    assert.equal(typed.map((text) => watch.saw(Buffer.from(text))).at(-1), expected);
  });
