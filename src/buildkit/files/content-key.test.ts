import assert from "node:assert/strict";
import { test } from "node:test";
import { contentKey } from "./content-key.ts";
import type { FileEntry, FileTree } from "./entry.ts";
import { type SelectRequest, selectSources } from "./select.ts";
import { directory, file, link, tree } from "./tree-harness.ts";

const request: SelectRequest = {
  instruction: "COPY",
  sources: [],
  excludes: [],
  parents: false,
  dialect: "buildkit",
  isContext: true,
  ignored: undefined,
  literal: false,
};

const keyOf = (from: FileTree, ...sources: string[]) => contentKey(selectSources(from, { ...request, sources }));

test("the key of a selection is the same in every version of the program", () => {
  const from = tree("d/a", "d/sub/b", "d/l -> a");
  assert.equal(keyOf(from, "d"), "8542d6d0e8c7c4c824ca6523304e74d0abd8057158e583e1e39c7896a62a8f18");
});

test("equal contents have equal keys, wherever they are and whenever they were changed", () => {
  const a = file("a/f", { bytes: "x" });
  const key = keyOf(tree(a, "a/l -> f"), "a");
  assert.equal(
    keyOf(tree({ ...a, path: "deep/b/f", mtimeNs: 7n }, "deep/b/l -> f", directory("deep/b", 0o700)), "deep/b"),
    key,
  );
  assert.equal(keyOf(tree(a, "a/l -> f", "other", "z -> a"), "z"), key);
  assert.equal(keyOf(tree({ ...a, hardLinkTo: "a/e" }, file("a/e", { bytes: "x" }), "a/l -> f"), "a") === key, false);
});

test("everything that a copy keeps changes the key", () => {
  const base = file("d/f", { bytes: "x" });
  const key = keyOf(tree(base), "d");
  const changes: readonly Partial<FileEntry>[] = [
    { path: "d/g" },
    { kind: "fifo" },
    { mode: 0o755 },
    { uid: 1 },
    { gid: 1 },
    { size: 2 },
    { sha256: "0".repeat(64) },
    { deviceMajor: 1 },
    { deviceMinor: 1 },
    { xattrs: [["user.a", "b"]] },
    { xattrs: [["security.capability", "\u0001"]] },
    { path: "d/\udcff" },
    { path: "d/\ufffd" },
  ];
  const keys = changes.map((change) => keyOf(tree({ ...base, ...change }), "d"));
  assert.equal(new Set([key, ...keys]).size, changes.length + 1);
  const withXattrs = {
    ...base,
    xattrs: [
      ["security.selinux", "x"],
      ["system.posix_acl_access", "y"],
    ] as const,
  };
  assert.equal(keyOf(tree(withXattrs), "d"), key);
  assert.notEqual(keyOf(tree(link("d/l", "a")), "d"), keyOf(tree(link("d/l", "b")), "d"));
  assert.equal(keyOf(tree({ ...link("d/l", "a"), mode: 0o755 }), "d"), keyOf(tree(link("d/l", "a")), "d"));
});

test("a single file's name counts, the number and order of sources too", () => {
  const from = tree("a", file("b", { bytes: "a" }), "c");
  const keys = [["a"], ["b"], ["a", "c"], ["c", "a"], []].map((sources) => keyOf(from, ...sources));
  assert.equal(new Set(keys).size, keys.length);
});

test("ten thousand entries have a key within the time of a frame", () => {
  const files = Array.from({ length: 10_000 }, (_, index) => file(`d/dir-${index % 100}/file-${index}.ts`));
  const from = tree(...files);
  const selection = selectSources(from, { ...request, sources: ["d"] });
  contentKey(selection);
  const times = Array.from({ length: 5 }, () => {
    const started = performance.now();
    contentKey(selection);
    return performance.now() - started;
  });
  assert.ok(Math.min(...times) < 50, `${times} ms`);
});
