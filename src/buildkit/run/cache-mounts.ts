/**
 * Directories of RUN --mount=type=cache: `<root>/<name>/data` with `record.json` beside it. One key may have several: a private one that is in
 * use makes the next command use another.
 *
 * Lifecycle: `acquire` (waits its turn where the sharing says so) -> the directory is bound into a command -> `release`, once. A builder that is
 * killed leaves only whole directories: one becomes known when its record is written, after its contents.
 */
import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { again } from "../../keel/again.ts";
import { operation } from "../../keel/plan.ts";
import type { KeelServe } from "../../keel/serve.ts";
import { codeOf, during } from "../../platform/errors.ts";
import { FairLock, type Sharing } from "../../platform/fair-lock.ts";
import type { RunMount } from "../graph/vertex.ts";
import { cacheContents } from "./cache-contents.ts";

export type CacheMount = Extract<RunMount, { readonly kind: "cache" }>;

export interface CacheRecord {
  readonly name: string;
  readonly key: string;
  /** "cached mount /root/.cache from exec /bin/sh -c make" */
  readonly description: string;
  readonly createdAtMs: number;
  readonly lastUsedAtMs: number;
  readonly usageCount: number;
}

export interface CacheUsage extends CacheRecord {
  readonly sizeBytes: number;
  readonly inUse: boolean;
}

export interface CacheLease {
  readonly path: string;
  release(): void;
}

export interface CacheRequest {
  readonly mount: CacheMount;
  /** Of `from`, top first; the name of each stands for what it holds. */
  readonly directories: readonly string[];
  readonly description: string;
  readonly signal: AbortSignal;
}

interface Slot {
  record: CacheRecord;
  readonly lock: FairLock;
}

interface Placed {
  readonly slot: Slot;
  readonly turn: Promise<() => void>;
}

export class CacheMounts {
  readonly #root: string;
  readonly #keel: Pick<KeelServe, "run">;
  readonly #slots = new Map<string, Slot>();
  /** Keys whose directory is being made. */
  readonly #making = new Map<string, Promise<unknown>>();

  constructor(root: string, keel: Pick<KeelServe, "run">) {
    this.#root = root;
    this.#keel = keel;
    mkdirSync(root, { recursive: true, mode: 0o700 });
    for (const name of readdirSync(root)) {
      const record = readRecord(join(root, name));
      if (record) this.#slots.set(name, { record, lock: new FairLock() });
    }
  }

  /** What a builder that was killed left half made or half removed. */
  async recover(): Promise<void> {
    const dead = readdirSync(this.#root).filter((name) => !this.#slots.has(name));
    await this.#removeTrees(dead.map((name) => join(this.#root, name)));
  }

  async acquire(request: CacheRequest): Promise<CacheLease> {
    const { slot, turn } = await this.#place(keyOf(request), request);
    const release = await turn;
    this.#used(slot);
    return {
      path: join(this.#root, slot.record.name, "data"),
      release: () => {
        release();
        this.#used(slot, 0);
      },
    };
  }

  /** Without sizes, from memory. */
  records(): readonly (CacheRecord & { readonly inUse: boolean })[] {
    return [...this.#slots.values()].map(({ record, lock }) => ({ ...record, inUse: lock.isHeld }));
  }

  async list(): Promise<readonly CacheUsage[]> {
    const records = this.records();
    const operations = records.map(({ name }) =>
      operation("usage", { path: join(this.#root, name, "data") }, { cause: "size of a cache mount" }),
    );
    const { outputs } = await again(() => this.#keel.run(operations, { attempt: "measure cache mounts" }));
    return records.map((record, i) => ({ ...record, sizeBytes: Number(outputs.get(i)?.readBigUInt64LE(0) ?? 0n) }));
  }

  /** Removes those that nobody uses and `wanted` names; what was removed. */
  async prune(wanted: (usage: CacheUsage) => boolean): Promise<readonly CacheUsage[]> {
    const removed = (await this.list()).filter((usage) => {
      const slot = this.#slots.get(usage.name);
      return slot !== undefined && !slot.lock.isHeld && wanted(usage) && this.#slots.delete(usage.name);
    });
    const dead = removed.map(({ name }) => {
      const path = join(this.#root, `removed-${name}`);
      renameSync(join(this.#root, name), path);
      return path;
    });
    await this.#removeTrees(dead);
    return removed;
  }

  /** A place in the queue of the directory, taken before anybody else can. */
  async #place(key: string, request: CacheRequest): Promise<Placed> {
    const { mount, signal } = request;
    const isPrivate = mount.sharing === "private";
    for (;;) {
      signal.throwIfAborted();
      const there = [...this.#slots.values()].filter((slot) => slot.record.key === key);
      const free = isPrivate ? there.find(({ lock }) => !lock.isHeld) : there[0];
      if (free) return { slot: free, turn: free.lock.acquire(sharingOf(mount), signal) };
      const made = isPrivate ? undefined : this.#making.get(key);
      if (!made) return this.#makeOnce(key, request);
      await made.catch(() => undefined); // whoever makes it tells why it can't be
    }
  }

  async #makeOnce(key: string, request: CacheRequest): Promise<Placed> {
    const made = again(() => this.#make(key, request));
    this.#making.set(key, made);
    try {
      return await made;
    } finally {
      if (this.#making.get(key) === made) this.#making.delete(key);
    }
  }

  async #make(key: string, { mount, directories, description, signal }: CacheRequest): Promise<Placed> {
    const name = `${key.slice(0, 16)}-${randomBytes(4).toString("hex")}`;
    const directory = join(this.#root, name);
    mkdirSync(directory, { mode: 0o700 });
    try {
      const attempt = `make the cache mount ${mount.target}`;
      await this.#keel.run(cacheContents(mount, { directory, directories }), { signal, attempt });
      const now = Date.now();
      const record = { name, key, description, createdAtMs: now, lastUsedAtMs: now, usageCount: 0 };
      this.#write(record);
      const slot = { record, lock: new FairLock() };
      this.#slots.set(name, slot);
      return { slot, turn: slot.lock.acquire(sharingOf(mount), signal) };
    } catch (error) {
      await this.#removeTrees([directory]);
      throw error;
    }
  }

  #used(slot: Slot, times = 1): void {
    slot.record = { ...slot.record, lastUsedAtMs: Date.now(), usageCount: slot.record.usageCount + times };
    this.#write(slot.record);
  }

  #write(record: CacheRecord): void {
    const path = join(this.#root, record.name, "record.json");
    writeFileSync(`${path}.new`, JSON.stringify(record), { mode: 0o600 });
    renameSync(`${path}.new`, path);
  }

  async #removeTrees(paths: readonly string[]): Promise<void> {
    const operations = paths.map((path) => operation("removeTree", { path }, { cause: "remove a cache mount" }));
    await again(() => this.#keel.run(operations, { attempt: "remove cache mounts" }));
  }
}

/** A read-only user shares as any other; "private" ones never meet. */
const sharingOf = ({ sharing }: CacheMount): Sharing => (sharing === "shared" ? "shared" : "exclusive");

/** What makes two cache mounts one directory. */
export function keyOf({ mount, directories }: Pick<CacheRequest, "mount" | "directories">): string {
  const { id, source, mode, uid, gid } = mount;
  const parts = [
    id,
    mount.from === undefined ? [] : directories,
    mount.from === undefined ? "" : source,
    mode,
    uid,
    gid,
  ];
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}

function readRecord(directory: string): CacheRecord | undefined {
  if (!existsSync(join(directory, "data"))) return undefined;
  try {
    return JSON.parse(readFileSync(join(directory, "record.json"), "utf8")) as CacheRecord;
  } catch (error) {
    if (codeOf(error) === "not-found" || error instanceof SyntaxError) return undefined;
    throw during(`read the record of ${directory}`, error);
  }
}
