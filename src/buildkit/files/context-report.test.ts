import assert from "node:assert/strict";
import { test } from "node:test";
import { reportContext } from "./context-report.ts";
import { file, tree } from "./tree-harness.ts";

test("a large context is told by its largest directories and the ignore lines that help", () => {
  const sized = (path: string, size: number) => ({ ...file(path), size });
  const { entries } = tree(
    sized("web/node_modules/a/x.js", 3 << 20),
    sized("node_modules/b/y.js", 2 << 20),
    sized(".git/objects/pack", 9 << 20),
    sized("src/main.ts", 100),
    sized("logs/today.log", 4 << 20),
    sized("app/target/x", 8 << 20),
    sized("app/Cargo.toml", 10),
    sized("shooting/target/y", 8 << 20),
    sized("coverage/z", 10),
  );
  const report = reportContext(entries);
  assert.equal(report.files, 9);
  assert.equal(report.bytes, (34 << 20) + 120);
  assert.deepEqual(
    report.directories.slice(0, 3).map(({ path }) => path),
    [".git/objects", "app/target", "shooting/target"],
  );
  assert.deepEqual(
    report.suggestions.map(({ line, bytes }) => [line, bytes >> 20]),
    [
      ["**/.git", 9],
      ["app/target", 8],
      ["**/node_modules", 5],
      ["**/*.log", 4],
    ],
  );
  assert.ok(!reportContext(entries, ["app/target/x"]).suggestions.some(({ line }) => line === "app/target"));
  assert.deepEqual(reportContext([]), { bytes: 0, files: 0, directories: [], suggestions: [] });
});
