import assert from "node:assert/strict";
import { test } from "node:test";
import { QuietWatch } from "./quiet-collector.ts";

const cases: readonly {
  readonly title: string;
  readonly used: readonly number[];
  readonly collects: readonly number[];
}[] = [
  { title: "once after a burst, in its third quiet second", used: [400, 300, 2, 3, 1, 0, 2, 1], collects: [4] },
  { title: "never while there is work", used: [400, 2, 2, 400, 2, 2, 400, 2], collects: [] },
  { title: "not for work that left next to nothing", used: [100, 0, 0, 0, 0], collects: [] },
  { title: "for many small works together", used: [90, 0, 0, 0, 90, 0, 0, 0, 90, 0, 0, 0], collects: [11] },
  { title: "again after the next burst", used: [250, 0, 0, 0, 0, 250, 0, 0, 0], collects: [3, 8] },
];

for (const { title, used, collects } of cases) {
  test(`a daemon collects ${title}`, () => {
    const watch = new QuietWatch();
    assert.deepEqual(
      used.flatMap((ms, at) => (watch.look(ms) ? [at] : [])),
      collects,
    );
  });
}
