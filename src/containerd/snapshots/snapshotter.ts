/**
 * Stacks of directories.
 *
 * Lifecycle: `prepare` makes an active snapshot (writable) or `view` a read-only one, on a committed parent or on nothing
 * -> its `mounts` are values that the holder mounts, writes through and unmounts -> `commit` turns an active snapshot into a
 * committed one under a new name, immutable from then on and usable as a parent; the active key is gone -> `remove`. Active
 * and view snapshots and committed ones share one space of names per namespace. A committed snapshot can't be removed
 * while another has it as its parent. A call that fails leaves the index and the directories as they were; what a crash
 * leaves half made is swept at the next start.
 */
import type { PlanOptions } from "../kernel.ts";

/** A snapshot with this label that is not committed is a step of the process that made it: it does not outlive that process. */
export const TRANSIENT = "hull.transient";

export type SnapshotKind = "active" | "view" | "committed";

export interface SnapshotUsage {
  /** Disk blocks, hard links once. */
  readonly bytes: number;
  readonly inodes: number;
}

export interface SnapshotInfo {
  /** Key of an active or view snapshot, name of a committed one. */
  readonly name: string;
  /** Empty: none. */
  readonly parent: string;
  readonly kind: SnapshotKind;
  /** Name of its directory. */
  readonly id: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly labels: Readonly<Record<string, string>>;
  /** Known once committed. */
  readonly usage?: SnapshotUsage;
}

/** A mount as a value; making one mounts nothing. */
export interface Mount {
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

/** How Docker shows a snapshot ("GraphDriver") and where it is used. */
export interface SnapshotPaths {
  readonly driver: string;
  readonly data: Readonly<Record<string, string>>;
  /** Where its root is once mounted. */
  readonly root: string;
  /** Its own layer: where a layer is unpacked into and what `changes` and `usage` look at. */
  readonly layer: string;
  /** Layers below it, top first. */
  readonly lowers: readonly string[];
}

export interface PrepareRequest {
  readonly key: string;
  readonly parent: string;
  readonly labels?: Readonly<Record<string, string>>;
}

export interface CommitRequest {
  readonly name: string;
  readonly key: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Puts a layer that was prepared without a parent on this one (drivers with `independentLayers` only). */
  readonly parent?: string;
}

/** All calls are within one namespace. */
export interface Snapshotter {
  readonly name: string;
  /** Layers may be unpacked in any order and put on their parents by `commit`. */
  readonly independentLayers: boolean;
  /** Throws `already-exists`, `not-found` (the parent), `invalid-argument` (the parent is not committed). */
  prepare(namespace: string, request: PrepareRequest, options?: PlanOptions): Promise<Mount[]>;
  view(namespace: string, request: PrepareRequest, options?: PlanOptions): Promise<Mount[]>;
  /** Of an active or view snapshot. Throws `not-found`, `failed-precondition` (committed). */
  mounts(namespace: string, key: string): Mount[];
  /** Throws `already-exists` (the name), `not-found`, `failed-precondition` (not active). */
  commit(namespace: string, request: CommitRequest, options?: PlanOptions): Promise<SnapshotInfo>;
  /** Throws `not-found`, `failed-precondition` (it has children). Its files are deleted after the answer. */
  remove(namespace: string, name: string, options?: PlanOptions): Promise<void>;
  /** Bytes of its own layer. */
  usage(namespace: string, name: string): Promise<SnapshotUsage>;
  /** Throws `not-found`. */
  stat(namespace: string, name: string): SnapshotInfo;
  /** Replaces the labels. */
  label(namespace: string, name: string, labels: Readonly<Record<string, string>>): SnapshotInfo;
  list(namespace: string): SnapshotInfo[];
  namespaces(): string[];
  paths(namespace: string, name: string): SnapshotPaths;
}
