/**
 * Full copies: `<home>/<id>` holds the whole root. For data roots where overlayfs can't be mounted, such as inside
 * another container. A layer is applied onto a copy of its parent, so layers need their order.
 */
import { join } from "node:path";
import { operation } from "../../keel/plan.ts";
import type { SnapshotDriver } from "./snapshot-driver.ts";
import type { SnapshotInfo } from "./snapshotter.ts";

export function vfsDriver(dataRoot: string): SnapshotDriver {
  const home = join(dataRoot, "vfs", "dir");
  const at = (snapshot: SnapshotInfo): string => join(home, snapshot.id);
  return {
    name: "vfs",
    independentLayers: false,
    maxDepth: 500,
    home,
    keep: [],
    create: (snapshot, [below]) => [
      operation("mkdir", { path: at(snapshot), mode: 0o755 }, { cause: "snapshot" }),
      ...(below === undefined
        ? []
        : [operation("copyTree", { from: at(below), to: at(snapshot) }, { cause: "snapshot" })]),
    ],
    commit: () => [],
    release: () => [],
    mounts: (snapshot) => [
      { type: "bind", source: at(snapshot), options: [snapshot.kind === "active" ? "rw" : "ro", "rbind"] },
    ],
    paths: (snapshot, parents) => ({
      driver: "vfs",
      data: {},
      root: at(snapshot),
      layer: at(snapshot),
      lowers: parents.map(at),
    }),
  };
}
