import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { contextReport, leftOutReport } from "./context-report.ts";
import { Listings, walk } from "./tree-walk.ts";

const root = mkdtempSync(join(tmpdir(), "context-"));
after(() => rmSync(root, { recursive: true }));
for (const [path, bytes] of [
  ["src/main.c", 10],
  ["node_modules/a/index.js", 3000],
  ["node_modules/b/index.js", 4000],
  ["x.log", 500],
  ["keep.log", 20],
  ["notes", 7],
] as const) {
  mkdirSync(join(root, path, ".."), { recursive: true });
  writeFileSync(join(root, path), "x".repeat(bytes));
}

test("what does not travel is told by the pattern that leaves it out, and what nobody uses", () => {
  const listings = new Listings(root);
  const sent = [...walk(listings, undefined)].filter(({ path }) => path === "src" || path === "src/main.c");
  assert.equal(
    leftOutReport(listings, ["node_modules", "*.log", "!keep.log"], sent),
    `Left out by the ignore file:
       7kB  node_modules (2 files)
      500B  *.log (1 file)
Used by no instruction, so not sent: 27B in 2 files
`,
  );
  assert.match(contextReport(sent), /^Build context: 10B in 1 file\n/);
});

test("where everything travels nothing is left out", () => {
  const listings = new Listings(root);
  assert.equal(leftOutReport(listings, [], [...walk(listings, undefined)]), "");
});
