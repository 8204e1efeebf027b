import assert from "node:assert/strict";
import { test } from "node:test";
import { alignTabs } from "./tabs.ts";
import { bytesSize, humanDuration, humanSize } from "./units.ts";

test("columns are at least ten wide and three apart", () => {
  assert.equal(alignTabs("A\tB\nlonger than ten\tx"), "A                 B\nlonger than ten   x");
  assert.equal(alignTabs("A\tB\nb\tx"), "A         B\nb         x");
});

test("sizes are printed with four digits, as go-units does", () => {
  assert.deepEqual(
    [0, 999, 1000, 1234567, 4860000].map((size) => humanSize(size)),
    ["0B", "999B", "1kB", "1.235MB", "4.86MB"],
  );
  assert.equal(humanSize(4860000, 3), "4.86MB");
  assert.equal(bytesSize(536870912), "512MiB");
});

const durations: readonly (readonly [number, string])[] = [
  [0.4, "Less than a second"],
  [1, "1 second"],
  [59, "59 seconds"],
  [61, "About a minute"],
  [3599, "59 minutes"],
  [3600, "About an hour"],
  [86400 * 3, "3 days"],
  [86400 * 20, "2 weeks"],
  [86400 * 100, "3 months"],
];
for (const [seconds, expected] of durations) {
  test(`${seconds} s reads "${expected}"`, () => assert.equal(humanDuration(seconds), expected));
}
