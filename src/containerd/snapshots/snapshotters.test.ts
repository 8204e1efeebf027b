import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { KeelServe } from "../../keel/serve.ts";
import { Reserve } from "../../platform/reserve.ts";
import { openDatabase } from "../store/database.ts";
import { IndexedSnapshotter } from "./indexed-snapshotter.ts";
import { overlay2Driver } from "./overlay2.ts";
import type { SnapshotDriver } from "./snapshot-driver.ts";
import { type SuiteSubject, snapshotterSuite } from "./snapshotter-suite.ts";
import { vfsDriver } from "./vfs.ts";

async function subjectOf(driverAt: (root: string) => SnapshotDriver): Promise<SuiteSubject> {
  // Not below /tmp by name: overlayfs needs a file system that can be its upper.
  const directory = mkdtempSync(join(process.env.TMPDIR ?? "/tmp", "hull-snapshots-"));
  const driver = driverAt(directory);
  const trash = join(directory, "trash");
  for (const path of [trash, driver.home, ...driver.keep.map((name) => join(driver.home, name))])
    mkdirSync(path, { recursive: true });
  const keel = await KeelServe.open();
  const opened: IndexedSnapshotter[] = [];
  const open = () => {
    const db = openDatabase({
      path: join(directory, "s.db"),
      synchronous: "NORMAL",
      schemaVersion: 1,
      reserve: new Reserve(join(directory, "reserve")),
    });
    const onLeftover = (path: string, error: unknown): void => console.error(path, error);
    opened.push(new IndexedSnapshotter({ driver, db, kernel: keel, trash, onLeftover }));
    return opened.at(-1)!;
  };
  return {
    snapshotter: open(),
    kernel: keel,
    directory,
    home: driver.home,
    overlayHome: join(directory, "overlay2"),
    reopen: async () => {
      const again = open();
      await again.sweep({ directories: readdirSync(driver.home), trash: readdirSync(trash) });
      return again;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(opened.map((one) => one.settled()));
      await keel[Symbol.asyncDispose]();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

snapshotterSuite("overlay2", () => subjectOf((root) => overlay2Driver(root, 500)));
snapshotterSuite("vfs", () => subjectOf(vfsDriver));
