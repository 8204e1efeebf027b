/**
 * What has arrived of a pull, held against collection: one lease for each name and platform.
 *
 * Lifecycle: `acquire` by each pull of the name -> disposal. The last one deletes the lease if any of them succeeded (`succeeded`): the image holds its content
 * then. Else the lease stays for two days, so that the next pull goes on from there, and that one's success ends it.
 */
import { createHash } from "node:crypto";
import type { LeaseResource, Leases } from "../store/leases.ts";

const STAYS_MS = 48 * 3600 * 1000;

export interface PullLease extends Disposable {
  succeeded(): void;
}

interface Shared {
  pulls: number;
  succeeded: boolean;
}

export class PullLeases {
  readonly #shared = new Map<string, Shared>();

  constructor(private readonly leases: Leases) {}

  acquire(namespace: string, what: string, resources: readonly LeaseResource[]): PullLease {
    const id = `hull-pull-${createHash("sha256").update(what).digest("hex").slice(0, 32)}`;
    const key = `${namespace} ${id}`;
    const shared = this.#shared.get(key) ?? { pulls: 0, succeeded: false };
    this.#shared.set(key, shared);
    shared.pulls += 1;
    const before = this.leases.list(namespace).find((lease) => lease.id === id);
    if (before) this.leases.delete(namespace, id);
    this.leases.create(namespace, id, { "containerd.io/gc.expire": new Date(Date.now() + STAYS_MS).toISOString() });
    this.leases.addAll(namespace, id, [...(before?.resources ?? []), ...resources]);
    let held = true;
    return {
      succeeded: () => {
        shared.succeeded = true;
      },
      [Symbol.dispose]: () => {
        if (!held) return;
        held = false;
        shared.pulls -= 1;
        if (shared.pulls > 0) return;
        this.#shared.delete(key);
        if (shared.succeeded) this.leases.delete(namespace, id);
      },
    };
  }
}
