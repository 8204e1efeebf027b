/** Snapshotter on a driver and an index: the rules of the contract, once for all drivers. */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { again } from "../../keel/again.ts";
import { type Operation, operation } from "../../keel/plan.ts";
import { HullError } from "../../platform/errors.ts";
import type { Kernel, PlanOptions } from "../kernel.ts";
import type { Database } from "../store/database.ts";
import { asJson, Records } from "../store/records.ts";
import type { SnapshotDriver } from "./snapshot-driver.ts";
import {
  type CommitRequest,
  type Mount,
  type PrepareRequest,
  type SnapshotInfo,
  type SnapshotPaths,
  type Snapshotter,
  type SnapshotUsage,
  TRANSIENT,
} from "./snapshotter.ts";

export interface IndexedSnapshotterOptions {
  readonly driver: SnapshotDriver;
  readonly db: Database;
  readonly kernel: Kernel;
  /** Directory on the same file system where removed trees wait for their deletion. */
  readonly trash: string;
  /** Told of deletions that failed after the answer. */
  readonly onLeftover: (path: string, error: unknown) => void;
}

export class IndexedSnapshotter implements Snapshotter {
  readonly #records: Records<SnapshotInfo>;
  /** Names on their way into the index. */
  readonly #pending = new Map<string, { readonly name: string; readonly parent: string }>();

  readonly #discarding = new Set<Promise<void>>();
  /** Plans of deletions that failed, by what they delete. */
  readonly #leftovers = new Map<string, readonly Operation[]>();

  constructor(private readonly options: IndexedSnapshotterOptions) {
    const table = `snapshot_${options.driver.name}`;
    this.#records = new Records<SnapshotInfo>({ db: options.db, table, ...asJson<SnapshotInfo>() });
  }

  get name(): string {
    return this.options.driver.name;
  }

  get independentLayers(): boolean {
    return this.options.driver.independentLayers;
  }

  prepare(namespace: string, request: PrepareRequest, options?: PlanOptions): Promise<Mount[]> {
    return this.#create(namespace, { ...request, kind: "active" }, options);
  }

  view(namespace: string, request: PrepareRequest, options?: PlanOptions): Promise<Mount[]> {
    return this.#create(namespace, { ...request, kind: "view" }, options);
  }

  mounts(namespace: string, key: string): Mount[] {
    const snapshot = this.stat(namespace, key);
    if (snapshot.kind === "committed") {
      throw new HullError(
        "failed-precondition",
        `snapshot ${key} is committed: only active and view snapshots have mounts`,
      );
    }
    return this.options.driver.mounts(snapshot, this.#stack(namespace, snapshot.parent));
  }

  async commit(namespace: string, request: CommitRequest, options?: PlanOptions): Promise<SnapshotInfo> {
    const active = this.stat(namespace, request.key);
    if (active.kind !== "active") throw new HullError("failed-precondition", `snapshot ${request.key} is not active`);
    const parent = this.#parentFor(namespace, active, request);
    using _ = this.#claim(namespace, { name: request.name, parent });
    const parents = this.#stack(namespace, parent);
    const { layer } = this.options.driver.paths(active, parents);
    const steps = this.options.driver.commit(active, parents);
    const { outputs } = await this.options.kernel.run(
      [...steps, operation("usage", { path: layer }, { cause: "commit" })],
      options,
    );
    // Who gave it up may have removed it: its directory has gone.
    if (this.#records.find(namespace, request.key)?.id !== active.id)
      throw new HullError("not-found", `snapshot ${request.key} was removed while it was committed: not found`);
    const usage = decodeUsage(outputs.get(steps.length)!);
    const labels = { ...active.labels, ...request.labels };
    const now = Date.now();
    const done: SnapshotInfo = {
      ...active,
      name: request.name,
      parent,
      kind: "committed",
      labels,
      usage,
      updatedAt: now,
    };
    this.#records.rename(namespace, request.key, { key: request.name, value: done });
    return done;
  }

  async remove(namespace: string, name: string, options?: PlanOptions): Promise<void> {
    const snapshot = this.stat(namespace, name);
    const child = this.list(namespace).find((other) => other.parent === name) ?? this.#expectedChild(namespace, name);
    if (child) throw new HullError("failed-precondition", `cannot remove snapshot ${name} with child ${child.name}`);
    // From here on it is removed: a directory without a record is deleted, now or later.
    this.#records.delete(namespace, name);
    const steps = this.#takeAway(snapshot, "remove");
    const away = join(this.options.trash, snapshot.id);
    try {
      await again(() => this.options.kernel.run(steps, options));
      this.#discard(away);
    } catch (error) {
      this.#leave(away, [...steps, ...deletion(away)], error);
    }
  }

  /** Out of the snapshots' directory at once; its files are deleted later. May be done twice. */
  #takeAway(snapshot: Pick<SnapshotInfo, "id">, cause: string): Operation[] {
    const { driver, trash } = this.options;
    const [from, to] = [join(driver.home, snapshot.id), join(trash, snapshot.id)];
    return [
      ...driver.release(snapshot as SnapshotInfo),
      operation("rename", { from, to }, { tolerate: ["ENOENT"], cause }),
    ];
  }

  #leave(path: string, plan: readonly Operation[], error: unknown): void {
    this.#leftovers.set(path, plan);
    this.options.onLeftover(path, error);
  }

  async usage(namespace: string, name: string): Promise<SnapshotUsage> {
    const snapshot = this.stat(namespace, name);
    if (snapshot.usage) return snapshot.usage;
    const path = this.paths(namespace, name).layer;
    const { outputs } = await this.options.kernel.run([operation("usage", { path }, { cause: "usage" })]);
    return decodeUsage(outputs.get(0)!);
  }

  stat(namespace: string, name: string): SnapshotInfo {
    const found = this.#records.find(namespace, name);
    if (found === undefined) throw new HullError("not-found", `snapshot ${name} does not exist: not found`);
    return found;
  }

  label(namespace: string, name: string, labels: Readonly<Record<string, string>>): SnapshotInfo {
    const next = { ...this.stat(namespace, name), labels, updatedAt: Date.now() };
    this.#records.put(namespace, name, next);
    return next;
  }

  list(namespace: string): SnapshotInfo[] {
    return this.#records.list(namespace);
  }

  namespaces(): string[] {
    return this.#records.namespaces();
  }

  paths(namespace: string, name: string): SnapshotPaths {
    const snapshot = this.stat(namespace, name);
    return this.options.driver.paths(snapshot, this.#stack(namespace, snapshot.parent));
  }

  /** Every deletion begun so far has ended. */
  async settled(): Promise<void> {
    await Promise.all(this.#discarding);
  }

  /** At start: deletes what an earlier process was at when it died: its steps, directories without a record, the trash. */
  async sweep(entries: { readonly directories: readonly string[]; readonly trash: readonly string[] }): Promise<void> {
    const { driver, trash, kernel } = this.options;
    for (const space of this.namespaces())
      for (const { name, kind, labels } of this.list(space))
        if (kind !== "committed" && TRANSIENT in labels) this.#records.delete(space, name);
    const known = new Set(this.namespaces().flatMap((space) => this.list(space).map((snapshot) => snapshot.id)));
    const orphans = entries.directories.filter((name) => !known.has(name) && !driver.keep.includes(name));
    const steps = orphans.flatMap((id) => this.#takeAway({ id }, "sweep"));
    if (steps.length > 0) await again(() => kernel.run(steps));
    for (const id of [...orphans, ...entries.trash]) this.#discard(join(trash, id));
  }

  async #create(
    namespace: string,
    request: PrepareRequest & { readonly kind: "active" | "view" },
    options?: PlanOptions,
  ): Promise<Mount[]> {
    const { key, parent, kind } = request;
    if (key === "") throw new HullError("invalid-argument", "a snapshot's key must not be empty");
    using _ = this.#claim(namespace, { name: key, parent });
    if (parent !== "") this.#committed(namespace, parent);
    const parents = this.#stack(namespace, parent);
    const { driver } = this.options;
    if (parents.length > driver.maxDepth) {
      throw new HullError(
        "failed-precondition",
        `${parents.length} layers: at most ${driver.maxDepth} can be stacked here`,
      );
    }
    const now = Date.now();
    const id = randomBytes(32).toString("hex");
    const snapshot: SnapshotInfo = {
      name: key,
      parent,
      kind,
      id,
      createdAt: now,
      updatedAt: now,
      labels: request.labels ?? {},
    };
    try {
      await this.options.kernel.run(driver.create(snapshot, parents), { parent: options?.parent });
      // Nobody would know of it, and who asked may have looked for what it left already.
      options?.signal?.throwIfAborted();
      this.#records.create(namespace, key, snapshot);
    } catch (error) {
      await this.#undo(snapshot);
      throw error;
    }
    return driver.mounts(snapshot, parents);
  }

  async #undo(snapshot: SnapshotInfo): Promise<void> {
    const { driver, kernel } = this.options;
    const path = join(driver.home, snapshot.id);
    const steps = [...driver.release(snapshot), operation("removeTree", { path }, { cause: "undo" })];
    await again(() => kernel.run(steps)).catch((error) => this.#leave(path, steps, error));
  }

  #parentFor(namespace: string, active: SnapshotInfo, { parent }: CommitRequest): string {
    if (parent === undefined || parent === "" || parent === active.parent) return active.parent;
    if (active.parent !== "")
      throw new HullError("failed-precondition", `snapshot ${active.name} has parent ${active.parent}`);
    if (!this.independentLayers)
      throw new HullError("failed-precondition", `${this.name} cannot put a layer on another parent`);
    return this.#committed(namespace, parent).name;
  }

  #committed(namespace: string, name: string): SnapshotInfo {
    const parent = this.#records.find(namespace, name);
    if (parent === undefined) throw new HullError("not-found", `parent snapshot ${name} does not exist: not found`);
    if (parent.kind !== "committed")
      throw new HullError("invalid-argument", `parent snapshot ${name} is not committed`);
    return parent;
  }

  /** From `name` down to the base, top first. */
  #stack(namespace: string, name: string): SnapshotInfo[] {
    const stack: SnapshotInfo[] = [];
    for (let at = name; at !== ""; ) {
      const snapshot = this.stat(namespace, at);
      stack.push(snapshot);
      at = snapshot.parent;
    }
    return stack;
  }

  /** Holds a name while its directory is being made, so that two callers can't both make it and its parent stays. */
  #claim(namespace: string, { name, parent }: { readonly name: string; readonly parent: string }): Disposable {
    const claim = `${namespace}\0${name}`;
    if (this.#records.find(namespace, name) !== undefined || this.#pending.has(claim)) {
      throw new HullError("already-exists", `snapshot ${name}: already exists`);
    }
    this.#pending.set(claim, { name, parent });
    return { [Symbol.dispose]: () => void this.#pending.delete(claim) };
  }

  #expectedChild(namespace: string, parent: string): { readonly name: string } | undefined {
    for (const [claim, pending] of this.#pending) {
      if (pending.parent === parent && claim.startsWith(`${namespace}\0`)) return pending;
    }
    return undefined;
  }

  /** Deletes in the background. What could not be deleted is tried again with the next one. */
  #discard(path: string): void {
    const plans = [...this.#leftovers, [path, deletion(path)] as const];
    this.#leftovers.clear();
    for (const [one, plan] of plans) {
      const work = again(() => this.options.kernel.run(plan))
        .then(
          () => undefined,
          (error) => this.#leave(one, plan, error),
        )
        .finally(() => this.#discarding.delete(work));
      this.#discarding.add(work);
    }
  }
}

const deletion = (path: string): Operation[] => [operation("removeTree", { path }, { cause: "removed snapshot" })];

const decodeUsage = (output: Buffer): SnapshotUsage => ({
  bytes: Number(output.readBigUInt64LE(0)),
  inodes: Number(output.readBigUInt64LE(8)),
});
