import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import type { FileEntry } from "../files/entry.ts";
import { selectSources } from "../files/select.ts";
import { type HashedSource, type HashedTree, planCopyHash } from "./classic-hash.ts";

const bytes: Readonly<Record<string, string>> = { f: "hi\n", "d/x": "x\n", "d/y": "yy\n", b: "", "é ü": "1\n" };

const entry = (path: string, fields: Partial<FileEntry> = {}): FileEntry => ({
  path,
  kind: "file",
  mode: 0o644,
  uid: 0,
  gid: 0,
  size: (bytes[path] ?? "").length,
  mtimeNs: 0n,
  sha256: "",
  linkTarget: "",
  hardLinkTo: "",
  deviceMajor: 0,
  deviceMinor: 0,
  xattrs: [],
  ...fields,
});

const directory = (path: string) => entry(path, { kind: "directory", mode: 0o755 });
const source = { kind: "layers", directories: [] } as const;
const tree = { entries: [directory(""), directory("d"), entry("d/x"), entry("d/y"), entry("f")], source };

function copyHash(sources: readonly HashedSource[], from: HashedTree): string {
  const { files, put } = planCopyHash(sources, from);
  const hash = (header: Buffer, text: string) => createHash("sha256").update(header).update(text).digest("hex");
  return put(files.map(({ header, path }) => hash(header, bytes[path] ?? "")));
}

function hashOf(sources: readonly string[], isContext: boolean): string {
  const selection = selectSources(tree, {
    ...{ sources, excludes: [], parents: false, dialect: "classic", instruction: "COPY", isContext },
    literal: false,
  });
  return copyHash(selection.sources, { tree, isContext });
}

/** What dockerd 20.10 wrote for the same files. */
const context = {
  f: "file:8582af4daeaf0680f84231b3cb3c1b3f178576b5a6a8982837583d5676f28428",
  d: "dir:2d7c48d992de8d03cb71274a0cf10ceb61b435dc2be196ba61dedcf1e27c156c",
  "f d/x": "multi:53b33f68307d8b4e66f1d705004cffa637bd7d00406ea1298e827c289255943c",
  "d/y": "file:5b63a6ac61f0e835aa6101642e067cbbcf09cb2076074bd59d286309b98380e1",
};
const stage = {
  "/f": "file:64e42eaa82312ec1777a7ea02a837c0dedfc8f9289cb032cbf6c511a1febb30b",
  "/d": "dir:d5f782246bbd157d7b5ebb2349294d6fbc46dada9cdd26522617796e1d6938d2",
};

for (const [sources, hash] of Object.entries(context)) {
  test(`dockerd's hash of files of a context: ${sources}`, () => assert.equal(hashOf(sources.split(" "), true), hash));
}
for (const [sources, hash] of Object.entries(stage)) {
  test(`dockerd's hash of files of a stage: ${sources}`, () => assert.equal(hashOf([sources], false), hash));
}

test("links in a circle and links to nowhere do no harm", () => {
  const link = (path: string, linkTarget: string) =>
    entry(path, { kind: "symlink", linkTarget, size: linkTarget.length });
  const links = [link("d/a", "b"), link("d/b", "a"), link("d/n", "nowhere")];
  const odd = { entries: [directory(""), directory("d"), ...links], source };
  const [, d] = odd.entries;
  const { put } = planCopyHash([{ entry: d!, contents: links }], { tree: odd, isContext: true });
  assert.equal(put([""]), `dir:${createHash("sha256").update(",d/n").digest("hex")}`);
});

test("a directory that the client's tar names by its contents alone is known by its path", () => {
  const implied = entry("d", { kind: "directory", mode: 0o755, mtimeNs: 1n });
  const odd = { entries: [directory(""), implied, entry("d/x")], source };
  const hash = (isContext: boolean) =>
    planCopyHash([{ entry: implied, contents: [odd.entries[2]!] }], { tree: odd, isContext });
  assert.equal(hash(true).put(["x"]), `dir:${createHash("sha256").update("d,x").digest("hex")}`);
  assert.equal(hash(false).files.length, 2);
});
