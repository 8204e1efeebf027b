/**
 * Runs collections. What this process makes in several steps holds it off meanwhile (`hold`); other processes use
 * leases. Lifecycle: `schedule` after something lost a reference -> one run soon after, never two at once.
 */
import type { Digest } from "../oci/digest.ts";
import { codeOf } from "../platform/errors.ts";
import { planCollection } from "./gc.ts";
import type { Stores } from "./stores.ts";

const DELAY_MS = 200;

export interface Collected {
  readonly blobs: number;
  readonly snapshots: number;
  readonly bytes: number;
}

export class Collector implements Disposable {
  #holds = 0;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<Collected> | undefined;

  constructor(
    private readonly stores: Stores,
    private readonly onError: (error: unknown) => void,
  ) {}

  /** No collection begins until it is disposed. */
  hold(): Disposable {
    this.#holds += 1;
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (!held) return;
        held = false;
        this.#holds -= 1;
        if (this.#holds === 0) this.schedule();
      },
    };
  }

  schedule(): void {
    this.#timer ??= setTimeout(() => void this.collect().catch(this.onError), DELAY_MS).unref();
  }

  /** Now, or nothing while it is held off (the last holder's end schedules one). */
  async collect(): Promise<Collected> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    while (this.#running) await this.#running.catch(() => undefined);
    if (this.#holds > 0) return { blobs: 0, snapshots: 0, bytes: 0 };
    this.#running = this.#collectAll();
    try {
      return await this.#running;
    } finally {
      this.#running = undefined;
    }
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }

  async #collectAll(): Promise<Collected> {
    let [blobs, snapshots, bytes] = [0, 0, 0];
    for (const { name } of this.stores.namespaces.list()) {
      const removed = await this.#collectOne(name);
      blobs += removed.blobs;
      snapshots += removed.snapshots;
      bytes += removed.bytes;
    }
    return { blobs, snapshots, bytes };
  }

  async #collectOne(namespace: string): Promise<Collected> {
    const { content, snapshotters } = this.stores;
    const plan = planCollection(this.#view(namespace));
    let bytes = 0;
    // The records go in this same turn of the loop; only then do files.
    const work: Promise<void>[] = [];
    for (const { snapshotter, name } of plan.snapshots) {
      const store = snapshotters.get(snapshotter);
      bytes += store.stat(namespace, name).usage?.bytes ?? 0;
      work.push(store.remove(namespace, name).catch(tolerateBusy));
    }
    for (const digest of plan.blobs as Digest[]) {
      bytes += content.info(namespace, digest).size;
      work.push(content.delete(namespace, digest));
    }
    await Promise.all(work);
    return { blobs: plan.blobs.length, snapshots: plan.snapshots.length, bytes };
  }

  #view(namespace: string) {
    const { images, containers, leases, content, snapshotters } = this.stores;
    return {
      imageTargets: images.list(namespace).map((image) => image.target.digest),
      containers: containers.list(namespace),
      leased: leases.expire(namespace, Date.now()).flatMap((lease) => lease.resources),
      blobs: content.list(namespace),
      snapshots: Object.fromEntries(snapshotters.all().map((store) => [store.name, store.list(namespace)])),
      canonical: (name: string) => snapshotters.canonical(name),
    };
  }
}

/** A child came to be meanwhile: it holds the snapshot now. */
function tolerateBusy(error: unknown): void {
  if (codeOf(error) !== "failed-precondition") throw error;
}
