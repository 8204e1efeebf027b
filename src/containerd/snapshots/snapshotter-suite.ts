/**
 * Conformance of snapshotters: what every implementation of the contract (snapshotter.ts) must do, against real directories
 * and real mounts. `make` gives a fresh one with its kernel; each case has its own.
 */
import assert from "node:assert/strict";
import { existsSync, lstatSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { mkdir, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { operation } from "../../keel/plan.ts";
import { codeOf } from "../../platform/errors.ts";
import type { Kernel } from "../kernel.ts";
import { mountOperations, unmountOperation } from "../tasks/rootfs-mount.ts";
import type { Snapshotter } from "./snapshotter.ts";

export interface SuiteSubject extends AsyncDisposable {
  readonly snapshotter: Snapshotter;
  readonly kernel: Kernel;
  /** A scratch directory of the case. */
  readonly directory: string;
  readonly overlayHome: string;
  /** Directory whose entries are the snapshots. */
  readonly home: string;
  /** Opens another snapshotter on the same state, as after a restart. */
  readonly reopen: () => Promise<Snapshotter>;
}

const NS = "suite";
const code =
  (...expected: string[]) =>
  (error: unknown) =>
    expected.includes(codeOf(error));

export function snapshotterSuite(name: string, make: () => Promise<SuiteSubject>): void {
  const check = (title: string, body: (subject: SuiteSubject) => Promise<void>): void => {
    test(`${name}: ${title}`, async () => {
      await using subject = await make();
      await body(subject);
    });
  };

  check("a new snapshot on nothing is empty and writable", async (subject) => {
    await subject.snapshotter.prepare(NS, { key: "a", parent: "" });
    await withMounted(subject, "a", async (root) => {
      assert.deepEqual(await readdir(root), []);
      await writeFile(join(root, "f"), "x");
    });
    await withMounted(subject, "a", async (root) => assert.equal(read(root, "f"), "x"));
  });

  check("a committed layer is seen by its child and never changed by it", async (subject) => {
    await layer(subject, { name: "base", files: { f: "one", g: "keep" } });
    await subject.snapshotter.prepare(NS, { key: "rw", parent: "base" });
    await withMounted(subject, "rw", async (root) => {
      assert.equal(read(root, "f"), "one");
      writeFileSync(join(root, "f"), "two");
    });
    await subject.snapshotter.prepare(NS, { key: "other", parent: "base" });
    await withMounted(subject, "other", async (root) => assert.equal(read(root, "f"), "one"));
    await withMounted(subject, "rw", async (root) => assert.equal(read(root, "f"), "two"));
  });

  check("changes stack: later layers cover earlier ones", async (subject) => {
    await layer(subject, { name: "1", files: { a: "1", b: "1", c: "1" } });
    await layer(subject, { name: "2", parent: "1", files: { b: "2", c: "2" } });
    await layer(subject, { name: "3", parent: "2", files: { c: "3" } });
    await subject.snapshotter.view(NS, { key: "v", parent: "3" });
    await withMounted(subject, "v", async (root) => {
      assert.deepEqual(
        ["a", "b", "c"].map((file) => read(root, file)),
        ["1", "2", "3"],
      );
    });
  });

  check("a file deleted in a layer is gone above it", async (subject) => {
    await layer(subject, { name: "1", files: { a: "1", b: "1" } });
    await layer(subject, { name: "2", parent: "1", change: (root) => rm(join(root, "a")) });
    await subject.snapshotter.prepare(NS, { key: "k", parent: "2" });
    await withMounted(subject, "k", async (root) => assert.deepEqual(await readdir(root), ["b"]));
  });

  check("a directory deleted and made again does not show its old contents", async (subject) => {
    await layer(subject, {
      name: "1",
      change: async (root) => {
        await mkdir(join(root, "d"));
        await writeFile(join(root, "d/old"), "");
      },
    });
    await layer(subject, {
      name: "2",
      parent: "1",
      change: async (root) => {
        await rm(join(root, "d"), { recursive: true });
        await mkdir(join(root, "d"));
        await writeFile(join(root, "d/new"), "");
      },
    });
    await subject.snapshotter.prepare(NS, { key: "k", parent: "2" });
    await withMounted(subject, "k", async (root) => assert.deepEqual(await readdir(join(root, "d")), ["new"]));
  });

  check("symbolic links and modes survive a commit", async (subject) => {
    await layer(subject, {
      name: "1",
      change: async (root) => {
        await symlink("/etc/nowhere", join(root, "l"));
        await writeFile(join(root, "s"), "", { mode: 0o640 });
      },
    });
    await subject.snapshotter.prepare(NS, { key: "k", parent: "1" });
    await withMounted(subject, "k", async (root) => {
      assert.equal(readlinkSync(join(root, "l")), "/etc/nowhere");
      assert.equal(lstatSync(join(root, "s")).mode & 0o777, 0o640);
    });
  });

  check("a view can't be written", async (subject) => {
    await layer(subject, { name: "1", files: { a: "1" } });
    await subject.snapshotter.view(NS, { key: "v", parent: "1" });
    await withMounted(subject, "v", async (root) => {
      assert.throws(
        () => writeFileSync(join(root, "x"), ""),
        (error: NodeJS.ErrnoException) => error.code === "EROFS",
      );
    });
  });

  check("a view of two layers can't be written", async (subject) => {
    await layer(subject, { name: "1", files: { a: "1" } });
    await layer(subject, { name: "2", parent: "1", files: { b: "2" } });
    await subject.snapshotter.view(NS, { key: "v", parent: "2" });
    await withMounted(subject, "v", async (root) => {
      assert.throws(
        () => writeFileSync(join(root, "a"), "x"),
        (error: NodeJS.ErrnoException) => error.code === "EROFS",
      );
    });
  });

  check("a view can't be committed", async ({ snapshotter }) => {
    await snapshotter.view(NS, { key: "v", parent: "" });
    await assert.rejects(snapshotter.commit(NS, { key: "v", name: "n" }), code("failed-precondition"));
  });

  check("commit replaces the key by the name", async ({ snapshotter }) => {
    await snapshotter.prepare(NS, { key: "k", parent: "" });
    await snapshotter.commit(NS, { key: "k", name: "n" });
    assert.throws(() => snapshotter.stat(NS, "k"), code("not-found"));
    assert.equal(snapshotter.stat(NS, "n").kind, "committed");
  });

  check("a committed snapshot has no mounts", async ({ snapshotter }) => {
    await snapshotter.prepare(NS, { key: "k", parent: "" });
    await snapshotter.commit(NS, { key: "k", name: "n" });
    assert.throws(() => snapshotter.mounts(NS, "n"), code("failed-precondition"));
  });

  check("a committed snapshot can't be committed again", async ({ snapshotter }) => {
    await snapshotter.prepare(NS, { key: "k", parent: "" });
    await snapshotter.commit(NS, { key: "k", name: "n" });
    await assert.rejects(snapshotter.commit(NS, { key: "n", name: "m" }), code("failed-precondition"));
  });

  check("a key or name is taken once", async ({ snapshotter }) => {
    await snapshotter.prepare(NS, { key: "k", parent: "" });
    await assert.rejects(snapshotter.prepare(NS, { key: "k", parent: "" }), code("already-exists"));
    await snapshotter.prepare(NS, { key: "j", parent: "" });
    await assert.rejects(snapshotter.commit(NS, { key: "j", name: "k" }), code("already-exists"));
    assert.equal(snapshotter.stat(NS, "j").kind, "active");
  });

  check("two at once for one key: one wins", async ({ snapshotter, home }) => {
    const before = (await readdir(home)).length;
    const both = [1, 2].map(() => snapshotter.prepare(NS, { key: "k", parent: "" }));
    const results = await Promise.allSettled(both);
    assert.deepEqual(results.map((result) => result.status).sort(), ["fulfilled", "rejected"]);
    assert.equal((await readdir(home)).length, before + 1);
  });

  check("an absent parent is not found and nothing is made", async ({ snapshotter, home }) => {
    const before = await readdir(home);
    await assert.rejects(snapshotter.prepare(NS, { key: "k", parent: "none" }), code("not-found"));
    assert.throws(() => snapshotter.stat(NS, "k"), code("not-found"));
    assert.deepEqual(await readdir(home), before);
  });

  check("an active snapshot is no parent", async ({ snapshotter }) => {
    await snapshotter.prepare(NS, { key: "k", parent: "" });
    await assert.rejects(snapshotter.prepare(NS, { key: "j", parent: "k" }), code("invalid-argument"));
  });

  check("an empty key is refused", async ({ snapshotter }) => {
    await assert.rejects(snapshotter.prepare(NS, { key: "", parent: "" }), code("invalid-argument"));
  });

  check("a parent can't be removed while it has children", async ({ snapshotter }) => {
    await snapshotter.prepare(NS, { key: "k", parent: "" });
    await snapshotter.commit(NS, { key: "k", name: "n" });
    await snapshotter.prepare(NS, { key: "child", parent: "n" });
    await assert.rejects(snapshotter.remove(NS, "n"), code("failed-precondition"));
    await snapshotter.remove(NS, "child");
    await snapshotter.remove(NS, "n");
    assert.deepEqual(snapshotter.list(NS), []);
  });

  check("removing takes the directory away; a second time is not found", async ({ snapshotter, home }) => {
    await snapshotter.prepare(NS, { key: "k", parent: "" });
    const { id } = snapshotter.stat(NS, "k");
    assert.equal(existsSync(join(home, id)), true);
    await snapshotter.remove(NS, "k");
    assert.equal(existsSync(join(home, id)), false);
    await assert.rejects(snapshotter.remove(NS, "k"), code("not-found"));
  });

  check("stat and list tell kind, parent, labels and times", async ({ snapshotter }) => {
    await snapshotter.prepare(NS, { key: "k", parent: "", labels: { a: "1" } });
    await snapshotter.commit(NS, { key: "k", name: "n", labels: { b: "2" } });
    await snapshotter.view(NS, { key: "v", parent: "n" });
    const base = snapshotter.stat(NS, "n");
    assert.deepEqual([base.kind, base.parent, base.labels], ["committed", "", { a: "1", b: "2" }]);
    assert.ok(base.createdAt <= base.updatedAt && Date.now() - base.createdAt < 60_000);
    assert.deepEqual(
      snapshotter
        .list(NS)
        .map(({ name: one, kind }) => [one, kind])
        .sort(),
      [
        ["n", "committed"],
        ["v", "view"],
      ],
    );
  });

  check("labels can be replaced", async ({ snapshotter }) => {
    await snapshotter.prepare(NS, { key: "k", parent: "", labels: { a: "1" } });
    assert.deepEqual(snapshotter.label(NS, "k", { b: "2" }).labels, { b: "2" });
    assert.throws(() => snapshotter.label(NS, "none", {}), code("not-found"));
  });

  check("namespaces don't see each other", async ({ snapshotter }) => {
    await snapshotter.prepare("one", { key: "k", parent: "" });
    await snapshotter.prepare("two", { key: "k", parent: "" });
    assert.notEqual(snapshotter.stat("one", "k").id, snapshotter.stat("two", "k").id);
    assert.deepEqual([...snapshotter.namespaces()].sort(), ["one", "two"]);
    await assert.rejects(snapshotter.remove("three", "k"), code("not-found"));
  });

  check("usage counts a snapshot's own files", async (subject) => {
    await layer(subject, { name: "1", files: { big: "x".repeat(300_000) } });
    const usage = await subject.snapshotter.usage(NS, "1");
    assert.ok(usage.bytes >= 300_000 && usage.bytes < 400_000, `${usage.bytes}`);
    assert.ok(usage.inodes >= 2);
    await assert.rejects(subject.snapshotter.usage(NS, "none"), code("not-found"));
  });

  check("everything is there again after a restart, and what has no record is swept", async (subject) => {
    await layer(subject, { name: "1", files: { a: "1" } });
    await subject.snapshotter.prepare(NS, { key: "k", parent: "1" });
    await mkdir(join(subject.home, "f".repeat(64)));
    const again = await subject.reopen();
    assert.deepEqual(again.stat(NS, "k"), subject.snapshotter.stat(NS, "k"));
    assert.equal(existsSync(join(subject.home, "f".repeat(64))), false);
    await withMounted({ ...subject, snapshotter: again }, "k", async (root) => assert.equal(read(root, "a"), "1"));
  });

  check("a layer prepared alone can be put on a parent when it is committed", async (subject) => {
    const { snapshotter } = subject;
    await layer(subject, { name: "base", files: { a: "1" } });
    await snapshotter.prepare(NS, { key: "k", parent: "" });
    await withMounted(subject, "k", (root) => writeFile(join(root, "b"), "2"));
    const commit = snapshotter.commit(NS, { key: "k", name: "top", parent: "base" });
    if (!snapshotter.independentLayers) return assert.rejects(commit, code("failed-precondition"));
    await commit;
    await snapshotter.prepare(NS, { key: "rw", parent: "top" });
    await withMounted(subject, "rw", async (root) => assert.deepEqual((await readdir(root)).sort(), ["a", "b"]));
  });

  check("a stack of forty layers mounts", async (subject) => {
    for (let i = 0; i < 40; i++) {
      await layer(subject, { name: `n${i}`, parent: i === 0 ? "" : `n${i - 1}`, files: { [`f${i}`]: "" } });
    }
    await subject.snapshotter.prepare(NS, { key: "k", parent: "n39" });
    await withMounted(subject, "k", async (root) => assert.equal((await readdir(root)).length, 40));
  });
}

const read = (root: string, file: string): string => readFileSync(join(root, file), "utf8");

interface LayerDraft {
  readonly name: string;
  readonly parent?: string;
  readonly files?: Readonly<Record<string, string>>;
  readonly change?: (root: string) => Promise<void>;
}

async function layer(subject: SuiteSubject, { name, parent = "", files = {}, change }: LayerDraft): Promise<void> {
  await subject.snapshotter.prepare(NS, { key: `making ${name}`, parent });
  await withMounted(subject, `making ${name}`, async (root) => {
    for (const [file, text] of Object.entries(files)) await writeFile(join(root, file), text);
    await change?.(root);
  });
  await subject.snapshotter.commit(NS, { key: `making ${name}`, name });
}

async function withMounted(subject: SuiteSubject, key: string, body: (root: string) => Promise<void>): Promise<void> {
  const { kernel, snapshotter, directory, overlayHome } = subject;
  const root = join(directory, "mnt");
  const mounts = snapshotter.mounts(NS, key);
  await kernel.run([operation("mkdirAll", { path: root, mode: 0o755 }), ...mountOperations(mounts, root, overlayHome)]);
  try {
    await body(root);
  } finally {
    await kernel.run([unmountOperation(root)]);
  }
}
