/** Everything hull-containerd keeps, opened together. Lifecycle: open -> use -> dispose (closes the databases). */
import { mkdirSync, readdirSync, statfsSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../platform/errors.ts";
import { Reserve } from "../platform/reserve.ts";
import { LocalContent } from "./content/local-content.ts";
import { remaker } from "./content/remade-blobs.ts";
import type { EventBroker } from "./event-broker.ts";
import type { Kernel } from "./kernel.ts";
import type { Roots } from "./roots.ts";
import { IndexedSnapshotter } from "./snapshots/indexed-snapshotter.ts";
import { OVERLAYFS_MAGIC, overlayRefusal } from "./snapshots/overlay-probe.ts";
import { overlay2Driver } from "./snapshots/overlay2.ts";

import { Snapshotters } from "./snapshots/snapshotters.ts";
import { vfsDriver } from "./snapshots/vfs.ts";
import { ContainerRecords } from "./store/containers.ts";
import { type Database, openDatabase } from "./store/database.ts";
import { ImageRecords } from "./store/images.ts";
import { Leases } from "./store/leases.ts";
import { NamespaceRecords } from "./store/namespaces.ts";

/** Of each database; another one is refused. */
export const schemaVersions = { metadata: 1, state: 1 } as const;

export interface Stores extends Disposable {
  readonly namespaces: NamespaceRecords;
  readonly content: LocalContent;
  readonly images: ImageRecords;
  readonly leases: Leases;
  readonly containers: ContainerRecords;
  readonly snapshotters: Snapshotters;
  /** What this host lacks and what is done instead. */
  readonly degraded: readonly string[];
}

export interface StoresOptions {
  readonly roots: Roots;
  readonly kernel: Kernel;
  readonly events: EventBroker;
  readonly warn: (message: string) => void;
}

export async function openStores(options: StoresOptions): Promise<Stores> {
  const { roots, kernel, events } = options;
  mkdirSync(roots.trash, { recursive: true, mode: 0o700 });
  const reserve = new Reserve(join(roots.containerd, "reserve"));
  const open = (name: keyof typeof schemaVersions, synchronous: "FULL" | "NORMAL"): Database =>
    openDatabase({
      path: join(roots.containerd, `${name}.db`),
      synchronous,
      schemaVersion: schemaVersions[name],
      reserve,
      exclusive: true,
    });
  const metadata = open("metadata", "FULL");
  const state = open("state", "NORMAL");
  const degraded: string[] = [];
  const snapshotters = await openSnapshotters(options, state, degraded);
  const remake = remaker(kernel, snapshotters);
  const onChange = announceContent(events);
  const content = new LocalContent({ root: roots.content, db: metadata, kernel, remake, onChange });
  await content.sweep();
  return {
    namespaces: new NamespaceRecords(metadata, (change, { name, labels }) =>
      events.publish(name, `/namespaces/${change}`, { name, labels }),
    ),
    content,
    images: new ImageRecords(metadata, (namespace, change, { name, labels }) =>
      events.publish(namespace, `/images/${change}`, { name, labels }),
    ),
    leases: new Leases(metadata),
    containers: new ContainerRecords(state, (namespace, change, { id, image, labels, snapshotKey, runtime }) =>
      events.publish(namespace, `/containers/${change}`, {
        id,
        image,
        labels,
        snapshotKey,
        ...(runtime && { runtime: { name: runtime.name } }),
      }),
    ),
    snapshotters,
    degraded,
    [Symbol.dispose]() {
      metadata.close();
      state.close();
    },
  };
}

const announceContent =
  (events: EventBroker) =>
  (namespace: string, change: "create" | "delete", { digest, size }: { digest: string; size: number }): void =>
    events.publish(namespace, `/content/${change}`, { digest, size: BigInt(size) });

async function openSnapshotters(options: StoresOptions, db: Database, degraded: string[]): Promise<Snapshotters> {
  const { roots, kernel, warn } = options;
  const overlay = overlay2Driver(roots.dataRoot, 500);
  const refusal = await overlayRefusal({ driver: overlay, dataRoot: roots.dataRoot, trash: roots.trash, kernel });
  if (refusal !== "")
    degraded.push(`overlayfs cannot be used on ${roots.dataRoot} (${refusal}): vfs copies whole layers instead`);
  const drivers = refusal === "" ? [overlay, vfsDriver(roots.dataRoot)] : [vfsDriver(roots.dataRoot)];
  const stores = drivers.map(
    (driver) =>
      new IndexedSnapshotter({
        driver,
        db,
        kernel,
        trash: roots.trash,
        onLeftover: (path, error) => warn(`could not delete ${path}: ${messageOf(error)}`),
      }),
  );
  for (const [i, store] of stores.entries()) {
    mkdirSync(drivers[i]!.home, { recursive: true, mode: 0o710 });
    for (const kept of drivers[i]!.keep) mkdirSync(join(drivers[i]!.home, kept), { recursive: true, mode: 0o710 });
    await store.sweep({ directories: readdirSync(drivers[i]!.home), trash: i === 0 ? readdirSync(roots.trash) : [] });
  }
  return new Snapshotters(stores as [IndexedSnapshotter, ...IndexedSnapshotter[]]);
}

/** Backing file system by its magic number, for `docker info`. */
export function fileSystemOf(path: string): string {
  const names: Readonly<Record<number, string>> = {
    61267: "extfs",
    1481003842: "xfs",
    2435016766: "btrfs",
    16914836: "tmpfs",
    [OVERLAYFS_MAGIC]: "overlayfs",
    801189825: "zfs",
    4076150800: "f2fs",
  };
  return names[Number(statfsSync(path).type)] ?? "<unknown>";
}
