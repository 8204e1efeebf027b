import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { KeelServe } from "../../keel/serve.ts";
import type { FileEntry, FileTree } from "../files/entry.ts";
import { objectName } from "../files/object-name.ts";
import { file } from "../files/tree-harness.ts";
import type { OpenLayer, Placement } from "../solver/ports.ts";
import { KeelFiles } from "./keel-files.ts";

let root: string;
let keel: KeelServe;
let files: KeelFiles;
const signal = new AbortController().signal;
const owner = { parentOwner: { uid: 7, gid: 8 }, signal };

before(async () => {
  root = mkdtempSync(join(tmpdir(), "hull-files-"));
  keel = await KeelServe.open();
  files = new KeelFiles({ keel, scratch: join(root, "scratch") });
});
after(async () => {
  await keel[Symbol.asyncDispose]();
  rmSync(root, { recursive: true, force: true });
});

function layerOn(...lowers: string[]): OpenLayer {
  const directory = mkdtempSync(join(root, "layer-"));
  for (const name of ["upper", "work"]) mkdirSync(join(directory, name));
  const [upper, work] = [join(directory, "upper"), join(directory, "work")];
  return {
    key: "k",
    base: { chainId: "", layers: [] },
    upper,
    work,
    lowers,
    commit: () => assert.fail(),
    [Symbol.asyncDispose]: async () => {},
  };
}

function directoryOf(texts: Readonly<Record<string, string>>): string {
  const directory = mkdtempSync(join(root, "lower-"));
  for (const [path, text] of Object.entries(texts)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), text);
  }
  return directory;
}

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

/** A store with these files, and their entries. */
function stored(texts: Readonly<Record<string, string>>, below = root): FileTree {
  const directory = mkdtempSync(join(below, "store-"));
  const entries = Object.entries(texts).map(([path, text]): FileEntry => {
    const entry = {
      ...file(path),
      mode: 0o640,
      size: text.length,
      mtimeNs: 1_700_000_000_123_456_789n,
      sha256: sha256(text),
    };
    const object = join(directory, entry.sha256.slice(0, 2), objectName(entry));
    mkdirSync(dirname(object), { recursive: true });
    writeFileSync(object, text);
    chmodSync(object, 0o640);
    execFileSync("touch", ["-d", "@1700000000.123456789", object]);
    return entry;
  });
  return { entries, source: { kind: "store", directory } };
}

const asItIs = (entry: FileEntry): Placement => ({ path: entry.path, entry, sourcePath: entry.path });
const inode = (path: string): number => lstatSync(path).ino;

test("a file of the store is linked; a second name, other attributes and attributes of its own make a copy", async () => {
  const tree = stored({ a: "one", b: "two" });
  const [a, b] = tree.entries as [FileEntry, FileEntry];
  const layer = layerOn();
  const other = { ...b, uid: 5, gid: 6, mode: 0o4755, mtimeNs: 1_600_000_000_000_000_001n };
  const special = { ...a, xattrs: [["user.note", "x\u00ff"]] as const };
  await files.place(
    layer,
    tree,
    [
      { path: "d/again", entry: { ...a, path: "d/again" }, sourcePath: "a" },
      { path: "d/first", entry: { ...a, path: "d/first" }, sourcePath: "a" },
      { path: "d/noted", entry: { ...special, path: "d/noted" }, sourcePath: "a" },
      { path: "d/other", entry: { ...other, path: "d/other" }, sourcePath: "b" },
    ],
    owner,
  );
  const object = (entry: FileEntry) =>
    join((tree.source as { readonly directory: string }).directory, entry.sha256.slice(0, 2), objectName(entry));
  const placed = (name: string) => join(layer.upper, "d", name);
  assert.equal(inode(placed("again")), inode(object(a)));
  for (const name of ["first", "noted"]) assert.notEqual(inode(placed(name)), inode(object(a)));
  assert.equal(readFileSync(placed("first"), "utf8"), "one");
  const { mode, uid, gid, mtimeNs } = statSync(placed("other"), { bigint: true });
  assert.deepEqual([mode & 0o7777n, uid, gid, mtimeNs], [0o4755n, 5n, 6n, 1_600_000_000_000_000_001n]);
  const value = execFileSync("getfattr", ["--only-values", "-n", "user.note", placed("noted")]);
  assert.deepEqual(value, Buffer.from("x\u00ff", "latin1"));
  const made = statSync(join(layer.upper, "d"));
  assert.deepEqual([made.mode & 0o7777, made.uid, made.gid], [0o755, 7, 8]);
});

test("a store on another file system is copied from", async () => {
  const elsewhere = mkdtempSync("/dev/shm/hull-files-");
  try {
    const tree = stored({ a: "one" }, elsewhere);
    const layer = layerOn();
    await files.place(layer, tree, tree.entries.map(asItIs), owner);
    assert.equal(readFileSync(join(layer.upper, "a"), "utf8"), "one");
    assert.equal(statSync(join(layer.upper, "a"), { bigint: true }).mtimeNs, 1_700_000_000_123_456_789n);
  } finally {
    rmSync(elsewhere, { recursive: true });
  }
});

test("directories on the way are as the base has them, times too", async () => {
  const base = directoryOf({ "usr/lib/x": "x" });
  chmodSync(join(base, "usr/lib"), 0o2711);
  utimesSync(join(base, "usr/lib"), 1_500_000_000, 1_500_000_000);
  const tree = stored({ a: "one" });
  const layer = layerOn(base);
  const entry = { ...tree.entries[0]!, path: "usr/lib/new/a" };
  await files.place(layer, tree, [{ path: entry.path, entry, sourcePath: "a" }], owner);
  const { mode, mtimeMs } = statSync(join(layer.upper, "usr/lib"));
  assert.deepEqual([mode & 0o7777, mtimeMs], [0o2711, 1_500_000_000_000]);
  assert.equal(statSync(join(layer.upper, "usr/lib/new")).uid, 7);
});

const directory = (path: string): FileEntry => ({ ...file(path), kind: "directory", mode: 0o755, sha256: "" });

test("what is no file: directories with their times, links, FIFOs, devices, other names of a file", async () => {
  const tree = stored({ "d/a": "one" });
  const layer = layerOn();
  const nothing = { sha256: "", size: 0 };
  const entries: FileEntry[] = [
    { ...directory("d"), mtimeNs: 1_400_000_000_000_000_007n },
    tree.entries[0]!,
    { ...tree.entries[0]!, path: "d/b", hardLinkTo: "d/a" },
    { ...file("d/fifo"), ...nothing, kind: "fifo", mode: 0o600 },
    { ...file("d/link"), ...nothing, kind: "symlink", mode: 0o777, linkTarget: "/nowhere/é" },
    { ...file("d/null"), ...nothing, kind: "character", mode: 0o666, deviceMajor: 1, deviceMinor: 3 },
  ];
  await files.place(layer, tree, entries.map(asItIs), owner);
  const at = (path: string) => join(layer.upper, path);
  assert.equal(statSync(at("d"), { bigint: true }).mtimeNs, 1_400_000_000_000_000_007n);
  assert.equal(inode(at("d/a")), inode(at("d/b")));
  assert.ok(lstatSync(at("d/fifo")).isFIFO());
  assert.equal(readlinkSync(at("d/link")), "/nowhere/é");
  assert.deepEqual([lstatSync(at("d/null")).rdev, lstatSync(at("d/null")).mode & 0o777], [0x103, 0o666]);
});

test("where a directory and a file meet it is refused, and a file replaces what is there", async () => {
  const base = directoryOf({ "a/file": "x", b: "file" });
  const tree = stored({ a: "one", "b/x": "two", b: "three" });
  const [a, below, b] = tree.entries as [FileEntry, FileEntry, FileEntry];
  await assert.rejects(files.place(layerOn(base), tree, [asItIs(a)], owner), {
    code: "invalid-argument",
    message: "cannot copy to non-directory: /a is a directory",
  });
  await assert.rejects(files.place(layerOn(base), tree, [asItIs(below)], owner), { message: "/b: not a directory" });
  await assert.rejects(files.place(layerOn(base), tree, [asItIs(directory("b"))], owner), {
    message: "cannot copy to non-directory: /b",
  });
  const layer = layerOn(base);
  await files.place(layer, tree, [asItIs(b)], owner);
  await files.place(layer, tree, [{ ...asItIs(b), sourcePath: "a", entry: { ...a, path: "b" } }], owner);
  assert.equal(readFileSync(join(layer.upper, "b"), "utf8"), "one");
});

test("no link leads out of the layer", async () => {
  const tree = stored({ "out/a": "one" });
  const layer = layerOn();
  mkdirSync(join(root, "outside"));
  symlinkSync(join(root, "outside"), join(layer.upper, "out"));
  await assert.rejects(files.place(layer, tree, tree.entries.map(asItIs), owner), /not a directory/);
  assert.equal(existsSync(join(root, "outside/a")), false);
});

test("an index has everything: capabilities, times, links, odd names; and a copy of it has the same", async () => {
  const base = directoryOf({ "d/tool": "tool", "d/ü odd\nname": "x", hidden: "x" });
  const top = directoryOf({ "d/upper": "up" });
  linkSync(join(base, "d/tool"), join(base, "d/zool"));
  const capability = "0x0100000200040000000000000000000000000000";
  execFileSync("setfattr", ["-n", "security.capability", "-v", capability, join(base, "d/tool")]);
  execFileSync("touch", ["-d", "@1700000000.987654321", join(base, "d/tool")]);
  execFileSync("mknod", [join(top, "hidden"), "c", "0", "0"]);
  const tree = await files.index([top, base], "/", signal);
  const facts = tree.entries.map(({ path, kind, hardLinkTo, xattrs }) => [path, kind, hardLinkTo, xattrs.length]);
  assert.deepEqual(
    facts,
    [
      ["d", "directory", "", 0],
      ["d/tool", "file", "", 1],
      ["d/upper", "file", "", 0],
      ["d/zool", "file", "d/tool", 1],
      ["d/ü odd\nname", "file", "", 0],
    ].map((one, i) => (i === 4 ? [tree.entries[4]!.path, ...one.slice(1)] : one)),
  );
  assert.equal(tree.entries[1]!.sha256, sha256("tool"));
  assert.equal(tree.entries[1]!.mtimeNs, 1_700_000_000_987_654_321n);
  const layer = layerOn();
  await files.place(layer, tree, tree.entries.map(asItIs), owner);
  const again = await files.index([layer.upper], "/", signal);
  assert.deepEqual(again.entries, tree.entries);
  const below = await files.index([top, base], "d", signal);
  assert.deepEqual(below.entries, tree.entries);
});

test("given up in the middle it ends", async () => {
  const base = directoryOf({ large: "" });
  execFileSync("truncate", ["-s", "8G", join(base, "large")]);
  const abort = new AbortController();
  const indexing = files.index([base], "/", abort.signal);
  setTimeout(() => abort.abort(new Error("given up")), 100);
  await assert.rejects(indexing, /given up/);
});
