import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { KeelServe } from "../../keel/serve.ts";
import { HullError } from "../../platform/errors.ts";
import { Reserve } from "../../platform/reserve.ts";
import type { Kernel } from "../kernel.ts";
import { openDatabase } from "../store/database.ts";
import { IndexedSnapshotter } from "./indexed-snapshotter.ts";
import { overlay2Driver } from "./overlay2.ts";
import { TRANSIENT } from "./snapshotter.ts";

const NS = "faults";
/** More than any plan has: the whole plan was done, its answer lost. */
const ALL = 20;
const keel = await KeelServe.open();
after(() => keel[Symbol.asyncDispose]());

/** Real plans; one of them is cut off after some operations, as by a SIGKILL of keel or of the whole daemon. */
class CutKernel implements Kernel {
  #cut: { readonly after: number; readonly dies: boolean } | undefined;
  #dead = false;

  /** The next plan. With `dies` none runs after it. */
  cutNext(operations: number, dies: boolean): void {
    this.#cut = { after: operations, dies };
  }

  async run(...[plan, options]: Parameters<Kernel["run"]>): ReturnType<Kernel["run"]> {
    if (this.#dead) throw new HullError("cancelled", "the daemon is dead");
    const cut = this.#cut;
    this.#cut = undefined;
    if (cut === undefined) return keel.run(plan, options);
    this.#dead = cut.dies;
    await keel.run(plan.slice(0, cut.after));
    throw new HullError(cut.dies ? "cancelled" : "unavailable", "cut off");
  }
}

class Case implements AsyncDisposable {
  readonly #directory = mkdtempSync(join(process.env.TMPDIR ?? "/tmp", "hull-faults-"));
  readonly #driver = overlay2Driver(this.#directory, 500);
  readonly #trash = join(this.#directory, "trash");
  readonly #opened: IndexedSnapshotter[] = [];

  constructor() {
    for (const path of [this.#trash, join(this.#driver.home, "l")]) mkdirSync(path, { recursive: true });
  }

  async open(kernel: Kernel): Promise<IndexedSnapshotter> {
    const reserve = new Reserve(join(this.#directory, "reserve"));
    const db = openDatabase({ path: join(this.#directory, "s.db"), synchronous: "NORMAL", schemaVersion: 1, reserve });
    const { trash, driver } = { trash: this.#trash, driver: this.#driver };
    const store = new IndexedSnapshotter({ driver, db, kernel, trash, onLeftover: () => undefined });
    this.#opened.push(store);
    await store.sweep({ directories: readdirSync(driver.home), trash: readdirSync(trash) });
    return store;
  }

  /** Directories, short links and what waits for its deletion: every snapshot has one of the first two each. */
  async onDisk(): Promise<{ directories: string[]; links: number; trash: number }> {
    await Promise.all(this.#opened.map((store) => store.settled()));
    const { home } = this.#driver;
    const directories = readdirSync(home).filter((name) => name !== "l");
    return { directories, links: readdirSync(join(home, "l")).length, trash: readdirSync(this.#trash).length };
  }

  async assertOnlyRecorded(store: IndexedSnapshotter): Promise<void> {
    const ids = store.list(NS).map((snapshot) => snapshot.id);
    assert.equal(new Set(ids).size, ids.length, "two records have one directory");
    const { directories, links, trash } = await this.onDisk();
    assert.deepEqual(directories.sort(), ids.sort());
    assert.deepEqual([links, trash], [ids.length, 0]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#opened.map((store) => store.settled()));
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

async function based(subject: Case, kernel: Kernel): Promise<IndexedSnapshotter> {
  const store = await subject.open(kernel);
  await store.prepare(NS, { key: "making", parent: "" });
  await store.commit(NS, { key: "making", name: "base" });
  return store;
}

test("a snapshot that is removed while it is committed is not committed", async () => {
  await using subject = new Case();
  const during: (() => Promise<void>)[] = [];
  const store = await based(subject, {
    run: async (plan, options) => {
      const outcome = await keel.run(plan, options);
      await during.pop()?.();
      return outcome;
    },
  });
  await store.prepare(NS, { key: "old", parent: "base" });
  during.push(() => store.remove(NS, "old"));
  await assert.rejects(store.commit(NS, { key: "old", name: "committed" }), { code: "not-found" });
  assert.deepEqual(
    store.list(NS).map(({ name }) => name),
    ["base"],
  );
  await subject.assertOnlyRecorded(store);
});

const changes: Readonly<Record<string, (store: IndexedSnapshotter) => Promise<unknown>>> = {
  prepare: (store) => store.prepare(NS, { key: "new", parent: "base" }),
  commit: (store) => store.commit(NS, { key: "old", name: "committed" }),
  remove: (store) => store.remove(NS, "old"),
};
const cuts = [0, 1, 2, 3, 4, 5, 6, ALL];

for (const [what, change] of Object.entries(changes)) {
  for (const cut of cuts) {
    test(`a ${what} over which keel is killed after ${cut} operations leaves the record and the directory, or neither`, async () => {
      await using subject = new Case();
      const kernel = new CutKernel();
      const store = await based(subject, kernel);
      await store.prepare(NS, { key: "old", parent: "base" });
      kernel.cutNext(cut, false);
      const failed = await change(store).then(
        () => false,
        () => true,
      );
      assert.equal(failed, what !== "remove", "a removal is done again, the others are refused");
      await subject.assertOnlyRecorded(store);
      for (const { name } of store.list(NS).filter((one) => one.name !== "base")) await store.remove(NS, name);
      await subject.assertOnlyRecorded(store);
    });

    test(`a ${what} over which the daemon is killed after ${cut} operations is whole or undone at its next start`, async () => {
      await using subject = new Case();
      const kernel = new CutKernel();
      const store = await based(subject, kernel);
      await store.prepare(NS, { key: "old", parent: "base" });
      kernel.cutNext(cut, true);
      await change(store).catch(() => undefined);
      const next = await subject.open(keel);
      await subject.assertOnlyRecorded(next);
      for (const { name } of next.list(NS).filter((one) => one.name !== "base")) await next.remove(NS, name);
      await subject.assertOnlyRecorded(next);
    });
  }
}

test("a snapshot that its maker gave up while it was made is not there", async () => {
  await using subject = new Case();
  const store = await based(subject, keel);
  const abort = new AbortController();
  const made = store.prepare(NS, { key: "new", parent: "base" }, { signal: abort.signal });
  abort.abort(new HullError("cancelled", "the caller is gone"));
  await assert.rejects(made);
  await subject.assertOnlyRecorded(store);
});

test("a step of an unpacking does not outlive the daemon, a snapshot of a container does", async () => {
  await using subject = new Case();
  const store = await based(subject, keel);
  await store.prepare(NS, { key: "step", parent: "base", labels: { [TRANSIENT]: "" } });
  await store.prepare(NS, { key: "container", parent: "base" });
  await store.prepare(NS, { key: "layer step", parent: "", labels: { [TRANSIENT]: "" } });
  await store.commit(NS, { key: "layer step", name: "layer" });
  const next = await subject.open(keel);
  assert.deepEqual(
    next
      .list(NS)
      .map(({ name }) => name)
      .sort(),
    ["base", "container", "layer"],
  );
  await subject.assertOnlyRecorded(next);
});
