/**
 * What differs between snapshotters: the directories on disk. A driver is pure: it says which operations make, commit
 * and remove a snapshot's directory and what its mounts are; the index (indexed-snapshotter.ts) knows the rules and runs them.
 */
import type { Operation } from "../../keel/plan.ts";
import type { Mount, SnapshotInfo, SnapshotPaths } from "./snapshotter.ts";

export interface SnapshotDriver {
  /** Docker's name: "overlay2". */
  readonly name: string;
  readonly independentLayers: boolean;
  readonly maxDepth: number;
  /** Directory in which every snapshot has one of its own, named by its id; nothing else of ours is in it but `keep`. */
  readonly home: string;
  readonly keep: readonly string[];
  /** Makes the directory. `parents`: the stack below, top first. */
  create(snapshot: SnapshotInfo, parents: readonly SnapshotInfo[]): Operation[];
  /** Turns an active snapshot's directory into a layer on `parents`. */
  commit(snapshot: SnapshotInfo, parents: readonly SnapshotInfo[]): Operation[];
  /** Releases what is outside of its directory, and mounts on it; the directory itself is moved away by the caller. */
  release(snapshot: SnapshotInfo): Operation[];
  mounts(snapshot: SnapshotInfo, parents: readonly SnapshotInfo[]): Mount[];
  paths(snapshot: SnapshotInfo, parents: readonly SnapshotInfo[]): SnapshotPaths;
}
