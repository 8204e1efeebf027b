import assert from "node:assert/strict";
import { test } from "node:test";
import { IgnorePatterns } from "./ignore.ts";
import { type FilterState, TreeFilter } from "./tree-filter.ts";

test("a walk takes what is used and not ignored, and reads no other directory", () => {
  const filter = new TreeFilter(new IgnorePatterns(["src/lib", "*.json"]), new IgnorePatterns(["**/*.test.ts"]));
  const states = new Map<string, FilterState>();
  const step = (path: string) => {
    const state = filter.step(path, states.get(path.slice(0, Math.max(0, path.lastIndexOf("/")))));
    states.set(path, state);
    return `${state.wanted ? "take" : "leave"} ${filter.descends(path, state) ? "read" : "skip"}`;
  };
  const table: readonly (readonly [path: string, answer: string])[] = [
    ["package.json", "take read"],
    ["docs", "leave skip"],
    ["src", "leave read"],
    ["src/main.ts", "leave skip"],
    ["src/lib", "take read"],
    ["src/lib/a.ts", "take read"],
    ["src/lib/a.test.ts", "leave skip"],
  ];
  for (const [path, answer] of table) assert.equal(step(path), answer, path);
});
