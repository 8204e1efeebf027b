import assert from "node:assert/strict";
import { test } from "node:test";
import { type Fields, formatList } from "./listing.ts";
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

test("a table of fields alone is what the template of the same fields gives", () => {
  const fields: Fields<{ readonly id: string; readonly none: null; readonly count: number }> = {
    ID: { header: "THE ID", value: ({ id }) => id },
    Labels: { header: "LABELS", value: ({ none }) => none },
    Size: { header: "SIZE", value: ({ count }) => count },
  };
  const items = [
    { id: "a", none: null, count: 1 },
    { id: "b\tc", none: null, count: 2e6 },
  ];
  const plain = formatList({ fields, table: "table {{.ID}}\t{{.Labels}}\t{{.Size}}" }, items, undefined);
  const compiled = formatList({ fields, table: "table {{ .ID }}\t{{ .Labels }}\t{{ .Size }}" }, items, undefined);
  assert.equal(plain, compiled);
  assert.match(plain, /^THE ID {4}LABELS {4}SIZE\na {9}map\[\] {5}1\n/);
});
