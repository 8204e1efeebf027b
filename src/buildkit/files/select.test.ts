import assert from "node:assert/strict";
import { test } from "node:test";
import { HullError } from "../../platform/errors.ts";
import type { FileTree } from "./entry.ts";
import { type Destination, namesDirectory, parentOwner, placeSelection } from "./place.ts";
import { type SelectRequest, selectSources } from "./select.ts";
import { directory, file, tree } from "./tree-harness.ts";
import { TreeView } from "./tree-view.ts";

const plain: SelectRequest = {
  instruction: "COPY",
  sources: [],
  excludes: [],
  parents: false,
  dialect: "buildkit",
  isContext: true,
  ignored: undefined,
  literal: false,
};

const context = tree(
  "package.json",
  "package-lock.json",
  "README.md",
  "src/main.ts",
  "src/lib/a.ts",
  "src/lib/a.test.ts",
  "src/lib/deep/b.ts",
  "empty/",
  "a[0].txt",
  "link -> src/lib",
  "up -> ../../src",
  "current -> package.json",
  "gone -> nowhere",
  "circle -> circle",
  "src/inner -> lib",
);

/** "COPY [--parents] [--exclude=X] sources... destination" in a base; a placed path, "=source" where it has another name. */
function copy(line: string, base = tree(), dialect: SelectRequest["dialect"] = "buildkit"): string {
  const words = line.split(" ");
  const excludes = words.filter((word) => word.startsWith("--exclude=")).map((word) => word.slice(10));
  const paths = words.filter((word) => !word.startsWith("--"));
  const request = { ...plain, dialect, excludes, parents: words.includes("--parents"), sources: paths.slice(0, -1) };
  const selection = selectSources(context, request);
  return placeSelection(selection, destination(base, paths.at(-1)!, { dialect }))
    .map(({ path, entry, sourcePath }) => {
      assert.equal(entry.path, path);
      return `${path}${entry.kind === "directory" ? "/" : ""}${sourcePath === path ? "" : `=${sourcePath}`}`;
    })
    .join(" ");
}

function destination(base: FileTree, text: string, more: Partial<Destination> = {}): Destination {
  const { path, entry } = TreeView.of(base).follow(text);
  const resolved = { path, kind: entry?.kind ?? "missing" } as const;
  return { text, resolved, owner: undefined, chmod: undefined, instruction: "COPY", dialect: "buildkit", ...more };
}

const base = tree("app/", "file", "to-app -> app", "to-file -> /app/x", "to-new -> new/place");

/** What BuildKit's copy does; compared with it over thousands of random trees. */
const cases: readonly (readonly [line: string, placements: string])[] = [
  ["package.json /", "package.json"],
  ["package.json /app", "app/package.json=package.json"],
  ["package.json /app/", "app/package.json=package.json"],
  ["package.json /new", "new=package.json"],
  ["package.json /new/", "new/package.json=package.json"],
  ["package.json /new/.", "new/package.json=package.json"],
  ["package.json /a/b/c", "a/b/c=package.json"],
  ["package.json /file", "file=package.json"],
  ["package.json /to-app", "app/package.json=package.json"],
  ["package.json /to-file", "app/x=package.json"],
  ["package.json /to-new/", "new/place/package.json=package.json"],
  ["./package.json /", "package.json"],
  ["../../package.json /", "package.json"],
  ["package*.json /app/", "app/package-lock.json=package-lock.json app/package.json=package.json"],
  ["package*.json /new", "new/package-lock.json=package-lock.json new/package.json=package.json"],
  ["package.js* yarn.lock* /app/", "app/package.json=package.json"],
  ["yarn.lock* /app/", ""],
  ["a[[]0].txt /", "a[0].txt"],
  ["src/lib/deep /x", "x/=src/lib/deep x/b.ts=src/lib/deep/b.ts"],
  ["src/lib/deep /app", "app/b.ts=src/lib/deep/b.ts"],
  ["src/lib/deep/ /app/", "app/b.ts=src/lib/deep/b.ts"],
  ["empty /new/x", "new/x/=empty"],
  ["empty /app", ""],
  ["*/lib/*/b.ts /", "b.ts=src/lib/deep/b.ts"],
  ["s*/l?b/deep /app", "app/b.ts=src/lib/deep/b.ts"],
  ["link/deep /app", "app/b.ts=src/lib/deep/b.ts"],
  ["link/d*/b.ts /app", "app/b.ts=src/lib/deep/b.ts"],
  ["up/lib/deep /app", "app/b.ts=src/lib/deep/b.ts"],
  ["current /", "current=package.json"],
  ["current /app/", "app/current=package.json"],
  ["curr* /app/", "app/current=package.json"],
  ["package.json src/lib/deep /app/", "app/b.ts=src/lib/deep/b.ts app/package.json=package.json"],
  ["README.md src/main.ts README.md /app/", "app/README.md=README.md app/main.ts=src/main.ts"],
  ["--exclude=**/*.test.ts --exclude=deep src/lib /app", "app/a.ts=src/lib/a.ts"],
  ["--exclude=* --exclude=!deep/b.ts src/lib /app", "app/deep/=src/lib/deep app/deep/b.ts=src/lib/deep/b.ts"],
  ["--exclude=*lock* package* /app/", "app/package.json=package.json"],
  ["--parents src/lib/deep/b.ts /", "src/ src/lib/ src/lib/deep/ src/lib/deep/b.ts"],
  ["--parents src/./lib/deep /app", "app/lib/=src/lib app/lib/deep/=src/lib/deep app/lib/deep/b.ts=src/lib/deep/b.ts"],
  ["--parents src/**/a.ts /", "src/ src/lib/ src/lib/a.ts"],
  ["--parents s*/./**/b.ts /", "lib/=src/lib lib/deep/=src/lib/deep lib/deep/b.ts=src/lib/deep/b.ts"],
  ["--parents none*/x /app", ""],
  ["--parents link/./deep /app", "app/deep/=src/lib/deep app/deep/b.ts=src/lib/deep/b.ts"],
];

test("COPY selects and places what BuildKit does", () => {
  for (const [line, placements] of cases) assert.equal(copy(line, base), placements, line);
});

test("links within a directory are copied as links", () => {
  const placed = placeSelection(selectSources(context, { ...plain, sources: ["src"] }), destination(base, "/app"));
  assert.deepEqual(placed.find(({ path }) => path === "app/inner")?.entry.linkTarget, "lib");
});

test("what cannot be put there is refused", () => {
  for (const line of [
    "package.json /file/",
    "src /file",
    "src src/main.ts /file",
    "src/lib README.md /to-app/../file",
  ]) {
    const refused = (error: unknown) => error instanceof HullError && error.code === "invalid-argument";
    assert.throws(() => copy(line, base), refused, line);
  }
});

test("a destination made for a directory has 0755 or an octal --chmod, not the source's mode", () => {
  const source = tree(directory("d", 0o700), file("d/f", { mode: 0o640 }));
  const modes = (chmod: string | undefined) =>
    placeSelection(
      selectSources(source, { ...plain, sources: ["d"] }),
      destination(base, "/new", { chmod, owner: { uid: 5, gid: 6 } }),
    ).map(({ entry }) => `${entry.mode.toString(8)} ${entry.uid}:${entry.gid}`);
  assert.deepEqual(modes(undefined), ["755 5:6", "640 5:6"]);
  assert.deepEqual(modes("0600"), ["600 5:6", "600 5:6"]);
  assert.deepEqual(modes("go=u"), ["755 5:6", "666 5:6"]);
  assert.deepEqual(["/a/", "/a/.", "/", "/a", "/a."].map(namesDirectory), [true, true, true, false, false]);
});

test("missing parents of a destination are the new owner's; with dockerd's builder root's where a directory makes them", () => {
  const owner = { uid: 5, gid: 6 };
  const made = (sources: string[], dialect: Destination["dialect"], given: Destination["owner"]) => {
    const { uid, gid } = parentOwner(selectSources(context, { ...plain, sources }), { owner: given, dialect });
    return `${uid}:${gid}`;
  };
  assert.equal(made(["src"], "buildkit", undefined), "0:0");
  assert.equal(made(["src"], "buildkit", owner), "5:6");
  assert.equal(made(["src"], "classic", owner), "0:0");
  assert.equal(made(["README.md"], "classic", owner), "5:6");
  assert.equal(made(["README.md", "src"], "classic", owner), "5:6");
  assert.equal(made(["src", "README.md"], "classic", owner), "0:0");
});

test("hard links stay links among what is copied together", () => {
  const first = file("d/one", { bytes: "x" });
  const source = tree(
    first,
    { ...first, path: "d/two", hardLinkTo: "d/one" },
    { ...first, path: "e", hardLinkTo: "d/one" },
  );
  const links = (sources: string[], excludes: string[] = []) =>
    placeSelection(selectSources(source, { ...plain, sources, excludes }), destination(base, "/app/")).map(
      ({ path, entry }) => `${path}:${entry.hardLinkTo}`,
    );
  assert.deepEqual(links(["d"]), ["app/one:", "app/two:app/one"]);
  assert.deepEqual(links(["d"], ["one"]), ["app/two:"]);
  assert.deepEqual(links(["e"]), ["app/e:"]);
  const other = tree(...source.entries, file("g/one", { bytes: "other" }));
  const mixed = placeSelection(selectSources(other, { ...plain, sources: ["d", "g"] }), destination(base, "/app/")).map(
    ({ path, entry, sourcePath }) => `${path}:${sourcePath}:${entry.hardLinkTo}`,
  );
  assert.deepEqual(mixed, ["app/one:g/one:", "app/two:d/two:"]);
});

/** The message of a line that fails. */
function failure(line: string, more: Partial<SelectRequest> = {}): string {
  const words = line.split(" ").filter((word) => !word.startsWith("--"));
  try {
    selectSources(context, { ...plain, sources: words, parents: line.startsWith("--parents"), ...more });
  } catch (error) {
    return error instanceof HullError ? `${error.code}: ${error.message}` : String(error);
  }
  return "no error";
}

const checksum = "not-found: failed to compute cache key: failed to calculate checksum:";

test("a missing source is told in the builder's words, with what was probably meant", () => {
  const ignored = ["*.log", "dist"];
  const table: readonly (readonly [line: string, message: string, more?: Partial<SelectRequest>])[] = [
    ["pakage.json", `${checksum} "/pakage.json": not found (did you mean "/package.json"?)`],
    ["readme.md", `${checksum} "/readme.md": not found (did you mean "/README.md"?)`],
    ["main.ts", `${checksum} "/main.ts": not found (did you mean "/src/main.ts"?)`],
    ["scr/main.ts", `${checksum} "/scr/main.ts": not found (did you mean "/src/main.ts"?)`],
    ["zzz", `${checksum} "/zzz": not found`],
    ["../../etc/shadow", `${checksum} "/etc/shadow": not found`],
    ["zz/*", `${checksum} "/zz": not found`],
    ["--parents src/zzzzz", `${checksum} "/src/zzzzz": not found`],
    ["gone", `${checksum} "/gone": not found`],
    ["circle", "invalid-argument: /circle: too many levels of symbolic links"],
    ["a[", "invalid-argument: syntax error in pattern"],
    ["x.log", `${checksum} "/x.log": not found (the pattern "*.log" of .dockerignore leaves it out)`, { ignored }],
    ["dist/a", `${checksum} "/dist/a": not found (the pattern "dist" of .dockerignore leaves it out)`, { ignored }],
    ["x.log", `${checksum} "/x.log": not found`, { ignored, isContext: false }],
    [
      "zzz",
      "not-found: COPY failed: file not found in build context or excluded by .dockerignore: stat zzz: file does not exist",
      { dialect: "classic" },
    ],
    [
      "zzz",
      "not-found: ADD failed: stat zzz: file does not exist",
      { dialect: "classic", instruction: "ADD", isContext: false },
    ],
    ["zzz*", "invalid-argument: COPY failed: no source files were specified", { dialect: "classic" }],
    [
      "../x",
      "invalid-argument: COPY failed: forbidden path outside the build context: ../x ()",
      { dialect: "classic" },
    ],
    [
      "src/../../x",
      "invalid-argument: COPY failed: forbidden path outside the build context: src/../../x ()",
      { dialect: "classic" },
    ],
  ];
  for (const [line, message, more] of table) assert.equal(failure(line, more), message, line);
});

test("the classic builder wants a slash at the end for several sources, and looks for wildcards behind no link", () => {
  assert.throws(() => copy("package*.json /app", base, "classic"), /more than one source file/);
  const two = "app/package-lock.json=package-lock.json app/package.json=package.json";
  assert.equal(copy("package*.json /app/", base, "classic"), two);
  assert.throws(() => copy("link/*.ts /app/", base, "classic"), /no source files were specified/);
});

test("a directory and a file of one name: BuildKit refuses, the classic builder lets the last one win", () => {
  const source = tree("one/x/old", "two/x");
  const selection = selectSources(source, { ...plain, sources: ["one", "two"] });
  assert.throws(() => placeSelection(selection, destination(base, "/app/")), /cannot replace to directory \/app\/x/);
  const placed = placeSelection(selection, destination(base, "/app/", { dialect: "classic" }));
  assert.deepEqual(
    placed.map(({ path, sourcePath }) => `${path}=${sourcePath}`),
    ["app/x=two/x"],
  );
});

test("a downloaded file's name is no pattern", () => {
  const download = tree("a[1]*.txt");
  const selection = selectSources(download, { ...plain, sources: ["a[1]*.txt"], literal: true });
  assert.deepEqual(
    placeSelection(selection, destination(base, "/app/")).map(({ path }) => path),
    ["app/a[1]*.txt"],
  );
});
