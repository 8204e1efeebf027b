import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { HullError } from "../../platform/errors.ts";
import { cleanInRoot, cleanPath, Glob, hasWildcard } from "./glob.ts";
import { IgnorePatterns, type IgnoreState, keepingBuildFiles, parseIgnoreFile } from "./ignore.ts";

/** Patterns separated by blanks; a path that is left out; one that is not. What moby/patternmatcher answers. */
const cases: readonly (readonly [patterns: string, ignored: string, kept: string])[] = [
  ["a", "a a/b a/b/c", "b ab b/a"],
  ["*", "a a/b .x", ""],
  ["*.go", "a.go", "a/b.go ago"],
  ["**", "a a/b", ""],
  ["**/", "a a/b", ""],
  ["**/*.go", "a.go a/b.go a/b/c.go", "a.god"],
  ["**/a", "a b/a b/c/a b/a/x", "ba b/ca"],
  ["a/**", "a/b a/b/c", "a b/a"],
  ["a/**/b", "a/b a/x/b a/x/y/b a/x/b/z", "a/xb b"],
  ["a**/b", "a/b ax/b ax/y/b", "b x/b"],
  ["a/*/c", "a/b/c a/b/c/d", "a/c a/b/b/c"],
  ["a?c", "abc axc", "ac a/c"],
  ["[a-c]x [^a-c]y", "ax bx dy", "dx ay"],
  ["a.b", "a.b", "axb"],
  ["\\*", "*", "a"],
  ["a\\?", "a?", "ab"],
  ["a !a/b", "a a/c", "a/b a/b/c"],
  ["* !b.go", "a.go", "b.go"],
  ["**/*.md !**/README.md", "a.md x/b.md", "README.md x/README.md"],
  ["a !a/b a/b/c", "a/x a/b/c a/b/c/d", "a/b a/b/d"],
  ["!a a", "a a/b", "b"],
  ["a !a", "", "a a/b"],
  ["docs !docs/* docs/x", "docs docs/x", "docs/y docs/y/z"],
  ["./a/../b/", "b b/c", "a"],
  ["é*", "été é", "e"],
  ["?", "\u{1f600}", "\u{1f600}\u{1f600}"],
  ["a|b*", "ax xb xbx", "x"],
  ["a^b*", "", "a^b"],
];

test("paths are ignored as moby/patternmatcher says", () => {
  for (const [text, ignored, kept] of cases) {
    const patterns = new IgnorePatterns(text.split(" "));
    for (const path of ignored.split(" ").filter(Boolean)) assert.ok(patterns.matches(path), `${text}: ${path}`);
    for (const path of kept.split(" ").filter(Boolean)) assert.ok(!patterns.matches(path), `${text}: ${path} is kept`);
  }
});

test("bad patterns are refused in Go's words, those that only the regular expression refuses when they are needed", () => {
  for (const pattern of ["a[", "[]", "[a", "a\\", "[-]", "[a-]"]) {
    assert.throws(() => new IgnorePatterns([pattern]), /"a?.*": syntax error in pattern/, pattern);
  }
  assert.throws(() => new IgnorePatterns(["!"]), /illegal exclusion pattern: "!"/);
  for (const pattern of ["[b-a]", "a\\q", "**[a-", "x*{2}"]) {
    const needed = () => new IgnorePatterns([pattern]).matches("x");
    assert.throws(needed, (error) => error instanceof HullError && error.code === "invalid-argument", pattern);
  }
});

test("an ignore file is read line by line: comments, blanks, exceptions, leading slashes, a byte order mark", () => {
  const lines: readonly (readonly [file: string, patterns: readonly string[]])[] = [
    ["", []],
    ["a\nb\r\n\n  c  \n", ["a", "b", "c"]],
    ["# x\n #y\n#", ["#y"]],
    ["/a/b\n//\n/\n!/c\n! d\n!", ["a/b", "/", "/", "!c", "!d", "!"]],
    ["\ufeffa\n\ufeffb", ["a", "\ufeffb"]],
    ["a//b/../c/\n./x", ["a/c", "x"]],
    ["*.md\n!README.md", ["*.md", "!README.md"]],
  ];
  for (const [file, patterns] of lines) assert.deepEqual(parseIgnoreFile(Buffer.from(file)), patterns, file);
  assert.throws(() => parseIgnoreFile(Buffer.alloc(65_536, "a")), /line 1 is longer than 64 KiB/);
});

test("what a walk skips is ignored altogether, and the walk's answers are those for single paths", () => {
  const name = fc.constantFrom("a", "b", "c", "ab", "a.b");
  const piece = fc.constantFrom("a", "b", "c", "*", "**", "?", "a*", "[ab]", "a.b");
  const pattern = fc
    .tuple(fc.constantFrom("", "", "!"), fc.array(piece, { minLength: 1, maxLength: 4 }))
    .map(([mark, pieces]) => mark + pieces.join("/"));
  const patterns = fc.array(pattern, { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(patterns, fc.array(name, { minLength: 1, maxLength: 5 }), (texts, names) => {
      const list = new IgnorePatterns(texts);
      let state: IgnoreState | undefined;
      let skipped = false;
      for (let depth = 1; depth <= names.length; depth++) {
        const path = names.slice(0, depth).join("/");
        state = list.step(path, state);
        assert.equal(state.ignored, list.matches(path));
        if (skipped) assert.ok(state.ignored, path);
        skipped ||= list.skips(path, state);
      }
    }),
    { numRuns: 2000 },
  );
});

test("directories are skipped in spite of exceptions elsewhere", () => {
  const list = new IgnorePatterns(["*", "!src", "!docs/**/*.md", "!lib/*.js"]);
  for (const path of ["node_modules", "lib/deep"]) assert.ok(!list.mayIncludeBelow(path), path);
  for (const path of ["src", "docs", "docs/a", "lib"]) assert.ok(list.mayIncludeBelow(path), path);
});

test("the build's own files are kept for the classic builder", () => {
  assert.deepEqual(keepingBuildFiles(["*"], "./Dockerfile"), ["*", "!.dockerignore", "!Dockerfile"]);
  assert.deepEqual(keepingBuildFiles(["*", "!Dockerfile"], "Dockerfile"), ["*", "!Dockerfile", "!.dockerignore"]);
  assert.deepEqual(keepingBuildFiles(["a"], "Dockerfile"), ["a"]);
  assert.deepEqual(keepingBuildFiles(["*"], undefined), ["*", "!.dockerignore"]);
});

test("a hundred thousand paths are matched in a second", () => {
  const list = new IgnorePatterns(["**/*.log", "node_modules", "!keep", "a/**/b", "*.tmp", "dist/*", "**/.git", "x?y"]);
  const started = performance.now();
  let count = 0;
  for (let directory = 0; directory < 100; directory++) {
    const state = list.step(`dir-${directory}`, undefined);
    for (let file = 0; file < 1000; file++) {
      if (list.step(`dir-${directory}/file-${file}.log`, state).ignored) count++;
    }
  }
  assert.equal(count, 100_000);
  assert.ok(performance.now() - started < 1000, `${performance.now() - started} ms`);
});

test("patterns of many wildcards take no longer than others, and mean the same", () => {
  const long = "a".repeat(250);
  const deep = Array.from({ length: 200 }, () => "d").join("/");
  const table: readonly (readonly [pattern: string, path: string, ignored: boolean])[] = [
    ["**/a*a*a*a*a*a*a*a*a*b", `x/${long}`, false],
    ["**/a*a*a*a*a*a*a*a*a*b", `x/${long}b`, true],
    ["a/**/**/d/**/d/**/d/**/d/**/x", `a/${deep}`, false],
    ["a/**/**/d/**/d/**/d/**/d/**/x", `a/${deep}/x`, true],
    ["*/*/*/[a-c]?\\*", "a/b/c/bx*", true],
    ["*/*/*/[a-c]?\\*", "a/b/c/bxx", false],
  ];
  const started = performance.now();
  for (const [pattern, path, ignored] of table)
    assert.equal(new IgnorePatterns([pattern]).matches(path), ignored, pattern);
  assert.ok(performance.now() - started < 1000, `${performance.now() - started} ms`);
  assert.throws(() => new IgnorePatterns(["a*|b*c*d"]).matches("a"), /too many wildcards/);
});

test("globs match as Go's path.Match", () => {
  const table: readonly (readonly [pattern: string, matching: readonly string[], other: readonly string[]])[] = [
    ["*", ["", "a", "a.b"], ["a/b"]],
    ["*.txt", ["a.txt", ".txt"], ["a.txt.b", "d/a.txt"]],
    ["a*b*c", ["abc", "axbxc", "abbcc"], ["ab/c", "abcd"]],
    ["*/b", ["a/b", "/b"], ["b", "a/c/b"]],
    ["[a-c]?", ["ax"], ["dx", "a/", "a"]],
    ["[^a]", ["b", "/"], ["a"]],
    ["arr[[]0].txt", ["arr[0].txt"], ["arr0.txt"]],
    ["\\*", ["*"], ["a"]],
    ["**", ["ab"], ["a/b"]],
  ];
  for (const [pattern, matching, other] of table) {
    const glob = new Glob(pattern);
    for (const text of matching) assert.ok(glob.matches(text), `${pattern} ${text}`);
    for (const text of other) assert.ok(!glob.matches(text), `${pattern} not ${text}`);
  }
  for (const bad of ["[", "[a", "[]a]", "a[b-]", "\\", "x*["]) assert.throws(() => new Glob(bad), /syntax error/, bad);
});

test("paths are cleaned as Go does", () => {
  const table = {
    "": ".",
    a: "a",
    "a/": "a",
    "./a//b/.": "a/b",
    "../a": "../a",
    "/..": "/",
    "a/../..": "..",
    "//": "/",
  };
  for (const [path, clean] of Object.entries(table)) assert.equal(cleanPath(path), clean, path);
  assert.deepEqual(["../../a", ".", "/", "a/..", "b/./c/"].map(cleanInRoot), ["a", "", "", "", "b/c"]);
  assert.deepEqual(["a\\*b", "a*", "[", "a?"].map(hasWildcard), [false, true, true, true]);
});
