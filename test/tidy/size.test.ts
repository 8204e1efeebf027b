import assert from "node:assert/strict";
import { test } from "node:test";
import { isExempt, readSource, sourceFiles } from "./source-tree.ts";

const HARD_LIMIT_LINES = 400;
const HARD_LIMIT_C_LINES = 350;

/** Files over the limit that may only shrink. Empty is the goal. */
const exceptions: Readonly<Record<string, number>> = {};

function overLimit(files: readonly string[], limit: number): string[] {
  return files
    .filter((path) => !isExempt(path))
    .map((path) => ({ path, lines: readSource(path).split("\n").length - 1 }))
    .filter(({ path, lines }) => lines > (exceptions[path] ?? limit))
    .map(({ path, lines }) => `${path}: ${lines} lines, at most ${exceptions[path] ?? limit}`);
}

test("no TypeScript file is longer than 400 lines", () => {
  assert.deepEqual(overLimit(sourceFiles(["src", "test", "bench", "scripts"], [".ts", ".tsx"]), HARD_LIMIT_LINES), []);
});

test("no chapter of keel is longer than 350 lines", () => {
  assert.deepEqual(overLimit(sourceFiles(["native"], [".c", ".h"]), HARD_LIMIT_C_LINES), []);
});

test("no file is named after a grab bag", () => {
  const bags = /(^|\/)(utils?|helpers?|common|misc|manager|impl)(\.|\/)/;
  assert.deepEqual(
    sourceFiles(["src", "test", "bench", "scripts", "native"], [".ts", ".c", ".h"]).filter((path) => bags.test(path)),
    [],
  );
});

/** Kernel names stay kernel names. */
const kernelName = (name: string): string => name.replace("x86_64", "x86");

test("TypeScript files are named in kebab-case", () => {
  const names = sourceFiles(["src", "test", "bench", "scripts"], [".ts"]).filter((path) => !isExempt(path));
  assert.deepEqual(
    names.filter(
      (path) => !/^[a-z0-9]+(-[a-z0-9]+)*(\.test|\.d)?\.ts$/.test(kernelName(path.slice(path.lastIndexOf("/") + 1))),
    ),
    [],
  );
});
