import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  closeSync,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { FileEntry } from "../files/entry.ts";
import { objectName } from "../files/object-name.ts";
import { file } from "../files/tree-harness.ts";
import { gatherFiles, type LocalDirectory } from "./gather.ts";

let root: string;
let fd: number;
let directory: LocalDirectory;

before(() => {
  root = mkdtempSync(join(tmpdir(), "hull-gather-"));
  for (const name of ["context/a", "objects", "scratch"]) mkdirSync(join(root, name), { recursive: true });
  fd = openSync(join(root, "context"), "r");
  const { dev, ino } = fstatSync(fd, { bigint: true });
  directory = { pid: process.pid, descriptor: fd, device: dev, inode: ino };
});
after(() => {
  closeSync(fd);
  rmSync(root, { recursive: true, force: true });
});

function entryOf(path: string, contents: Buffer): FileEntry {
  writeFileSync(join(root, "context", path), contents);
  return { ...file(path), mode: 0o640, mtimeNs: -1_500_000_001n, size: contents.length, sha256: "" };
}

function gather(files: readonly FileEntry[], from = directory, signal = AbortSignal.timeout(60_000)) {
  const scratch = mkdtempSync(join(root, "scratch/"));
  return gatherFiles(from, files, { objects: join(root, "objects"), scratch, signal });
}

const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

test("files become objects with the attributes that were listed, whatever their size; what is there already is not written again", async () => {
  const contents = [
    Buffer.from("small"),
    Buffer.alloc(1 << 20, "m"),
    Buffer.alloc((1 << 20) + 1, "l"),
    Buffer.alloc(40_000_000, "x"),
  ];
  const files = contents.map((bytes, i) => entryOf(`a/${i}`, bytes));
  const found = await gather(files);
  assert.deepEqual(
    found,
    files.map((entry, i) => ({ ...entry, sha256: sha256(contents[i]!) })),
  );
  for (const entry of found!) {
    const path = join(root, "objects", entry.sha256.slice(0, 2), objectName(entry));
    const { mode, uid, size, mtimeNs } = statSync(path, { bigint: true });
    assert.deepEqual([Number(mode & 0o7777n), uid, Number(size), mtimeNs], [0o640, 0n, entry.size, -1_500_000_001n]);
  }
  const inodes = () =>
    readdirSync(join(root, "objects"), { recursive: true, encoding: "utf8" }).map(
      (name) => statSync(join(root, "objects", name)).ino,
    );
  const before = inodes();
  await gather(files);
  assert.deepEqual(inodes(), before);
});

test("holes of large files stay holes", async () => {
  const entry = entryOf("a/sparse", Buffer.from("x"));
  truncateSync(join(root, "context/a/sparse"), 64 << 20);
  const [found] = (await gather([entry]))!;
  assert.equal(found!.size, 64 << 20);
  const path = join(root, "objects", found!.sha256.slice(0, 2), objectName(found!));
  assert.ok(statSync(path).blocks * 512 < 4 << 20);
});

test("another directory than the one that was meant is not read, nor one of a process that is not there", async () => {
  const entry = entryOf("a/plain", Buffer.from("x"));
  for (const wrong of [{ inode: directory.inode + 1n }, { descriptor: 987_654 }, { pid: 2 ** 22 - 1 }])
    assert.equal(await gather([entry], { ...directory, ...wrong }), undefined, JSON.stringify(Object.keys(wrong)));
});

test("no link is followed, and nothing outside is read", async () => {
  writeFileSync(join(root, "secret"), "secret");
  symlinkSync("../secret", join(root, "context/link"));
  symlinkSync("..", join(root, "context/up"));
  for (const path of ["link", "up/secret", "../secret", "/etc/passwd", "a"])
    await assert.rejects(gather([{ ...file(path), sha256: "" }]), /cannot be read: open /, path);
});

test("a file that has gone is told by its name", async () => {
  await assert.rejects(gather([{ ...file("a/gone"), sha256: "" }]), /open a\/gone: No such file or directory/);
});

test("an aborted one leaves no half file", async () => {
  const entry = entryOf("a/large", Buffer.alloc(30_000_000, "y"));
  const abort = new AbortController();
  const gathering = gather([entry], directory, abort.signal);
  abort.abort(new Error("given up"));
  await assert.rejects(gathering, /given up/);
  const names = readdirSync(join(root, "objects"), { recursive: true, encoding: "utf8" });
  assert.deepEqual(
    names.filter((name) => name.endsWith(objectName({ ...entry, sha256: sha256(Buffer.alloc(30_000_000, "y")) }))),
    [],
  );
});

test("what the process may not read is not read", async () => {
  const entry = entryOf("a/closed", Buffer.from("x"));
  chmodSync(join(root, "context/a/closed"), 0o600);
  using other = asNobody(join(root, "context"));
  assert.equal(await gather([entry], { ...directory, pid: other.pid, descriptor: 0 }), undefined);
  chmodSync(join(root, "context/a/closed"), 0o644);
  assert.equal((await gather([entry], { ...directory, pid: other.pid, descriptor: 0 }))?.length, 1);
});

/** A process without rights whose stdin is the directory. */
function asNobody(path: string): Disposable & { readonly pid: number } {
  const opened = openSync(path, "r");
  const child = spawn("sleep", ["1000"], { stdio: [opened, "ignore", "ignore"], uid: 65534, gid: 65534 });
  closeSync(opened);
  return { pid: child.pid!, [Symbol.dispose]: () => void child.kill("SIGKILL") };
}
