import assert from "node:assert/strict";
import { test } from "node:test";
import { reportContext } from "./context-report.ts";
import { IgnorePatterns } from "./ignore.ts";
import { type FilterState, TreeFilter } from "./tree-filter.ts";
import { file, tree } from "./tree-harness.ts";
import { TreeView } from "./tree-view.ts";
import { followLinks, type LinkReader, usedPatterns } from "./used.ts";

test("the used patterns are the sources from the root on, everything when one is the root", () => {
  assert.deepEqual(usedPatterns(["src", "./package*.json", "/src/", "../x", "a/./b"]), [
    "a/b",
    "package*.json",
    "src",
    "x",
  ]);
  for (const source of [".", "/", "", "./", "a/.."]) assert.deepEqual(usedPatterns(["src", source]), [], source);
});

const links = tree(
  "dir/real",
  "dir/in -> real",
  "to-dir -> dir",
  "up -> ../../dir/in",
  "abs -> /to-dir/real",
  "loop -> loop/x",
  "a b/* -> ../dir",
);

const reader: LinkReader = {
  readLink: async (path) => TreeView.of(links).get(path)?.linkTarget || undefined,
  list: async (directory) => TreeView.of(links).names(directory),
};

test("links and where they lead travel with what leads through them", async () => {
  const table: readonly (readonly [patterns: readonly string[], followed: readonly string[]])[] = [
    [["dir/real"], ["dir/real"]],
    [["dir/in"], ["dir/in", "dir/real"]],
    [["to-dir/real"], ["dir/real", "to-dir"]],
    [
      ["to-dir/in", "to-dir/real"],
      ["dir/in", "dir/real", "to-dir"],
    ],
    [["up"], ["dir/in", "dir/real", "up"]],
    [["abs"], ["abs", "dir/real", "to-dir"]],
    [["to*/real"], ["dir/real", "to*/real", "to-dir"]],
    [["a b/*"], ["a b/*", "a b/\\*", "dir"]],
    [["dir", "dir/real"], ["dir"]],
    [["missing/**"], ["missing/**"]],
    [[""], []],
  ];
  for (const [patterns, followed] of table)
    assert.deepEqual(await followLinks(patterns, reader), followed, `${patterns}`);
  assert.ok((await followLinks(["loop"], reader)).includes("loop"));
});

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
