import assert from "node:assert/strict";
import { test } from "node:test";
import { differences, filePart, type KeyParts } from "./differences.ts";

const file = (mode: number, owner = "0:0", contents = "aaaa"): string => filePart(mode, owner, contents);

const cases: readonly (readonly [before: KeyParts, now: KeyParts, sentences: readonly string[]])[] = [
  [{ instruction: "1" }, { instruction: "1" }, []],
  [
    { instruction: "1", text: "RUN a" },
    { instruction: "2", text: "RUN b" },
    ['the instruction has changed: it was "RUN a", is "RUN b"'],
  ],
  [{ instruction: "1" }, { instruction: "2" }, ["the instruction has changed"]],
  [{ text: "RUN a" }, { text: "RUN b" }, []],
  [{ "variable A": "1" }, {}, ["ARG or ENV A is gone"]],
  [
    { base: "1", image: "x sha256:1" },
    { base: "2", image: "x sha256:2" },
    ["the base image x has changed: it was sha256:1, is sha256:2"],
  ],
  [{ base: "1", image: "x sha256:1" }, { base: "2", image: "y sha256:2" }, ["the base image was x, is y"]],
  [{ base: "1", after: "COPY a" }, { base: "2", after: "COPY a" }, ['the step before it has changed: "COPY a"']],
  [
    { base: "1", after: "COPY a" },
    { base: "2", after: "RUN b" },
    ['the step before it has changed: it was "COPY a", is "RUN b"'],
  ],
  [{ content: "1" }, { content: "2" }, ["the files that it copies have changed"]],
  [
    { content: "1", "file a": file(0o644), "file b": file(0o644), "file c": file(0o644), "file d": file(0o644) },
    {
      content: "2",
      "file a": file(0o755),
      "file b": file(0o644, "1:2", "bbbb"),
      "file d": file(0o644),
      "file e": file(0o644),
    },
    [
      "file a: its mode was 0644, is 0755",
      "file b: its contents have changed, its owner was 0:0, is 1:2",
      "file c is gone",
      "file e is new",
    ],
  ],
];
for (const [before, now, sentences] of cases)
  test(`differences: ${sentences.join("; ") || "none"}`, () => {
    assert.deepEqual(differences(before, now), sentences);
  });

test("of many files the first are named and the others counted", () => {
  const files = (contents: string) =>
    Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`file ${i}`, file(0o644, "0:0", contents)]));
  const found = differences(files("aaaa"), files("bbbb"));
  assert.equal(found.length, 21);
  assert.equal(found.at(-1), "and 10 more files");
});
