/**
 * Leases: holds against collection. A lease lists resources; while it stands and has not expired, they and what they
 * refer to stay. Lifecycle: create -> add resources (calls with the lease's header do) -> delete.
 */
import { HullError } from "../../platform/errors.ts";
import type { Database } from "./database.ts";
import { asJson, Records } from "./records.ts";

/** type: "content", "ingests" or "snapshots/<snapshotter>"; id: digest, ref or name. */
export interface LeaseResource {
  readonly type: string;
  readonly id: string;
}

export interface Lease {
  readonly id: string;
  readonly createdAt: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly resources: readonly LeaseResource[];
}

const EXPIRE = "containerd.io/gc.expire";

export class Leases {
  readonly #records: Records<Lease>;

  constructor(db: Database) {
    this.#records = new Records<Lease>({ db, table: "lease", ...asJson<Lease>() });
  }

  create(namespace: string, id: string, labels: Readonly<Record<string, string>>): Lease {
    const expire = labels[EXPIRE];
    if (expire !== undefined && Number.isNaN(Date.parse(expire))) {
      throw new HullError("invalid-argument", `label ${EXPIRE}: "${expire}" is no RFC 3339 time`);
    }
    const lease = { id, labels, createdAt: Date.now(), resources: [] };
    this.#records.create(namespace, id, lease);
    return lease;
  }

  delete(namespace: string, id: string): void {
    this.#records.get(namespace, id);
    this.#records.delete(namespace, id);
  }

  get(namespace: string, id: string): Lease {
    return this.#records.get(namespace, id);
  }

  list(namespace: string): Lease[] {
    return this.#records.list(namespace);
  }

  namespaces(): string[] {
    return this.#records.namespaces();
  }

  add(namespace: string, id: string, resource: LeaseResource): void {
    const lease = this.get(namespace, id);
    if (lease.resources.some((held) => same(held, resource))) return;
    this.#records.put(namespace, id, { ...lease, resources: [...lease.resources, resource] });
  }

  /** Several at once: one write. */
  addAll(namespace: string, id: string, resources: readonly LeaseResource[]): void {
    const lease = this.get(namespace, id);
    const more = resources.filter((resource) => !lease.resources.some((held) => same(held, resource)));
    if (more.length > 0) this.#records.put(namespace, id, { ...lease, resources: [...lease.resources, ...more] });
  }

  remove(namespace: string, id: string, resource: LeaseResource): void {
    const lease = this.get(namespace, id);
    this.#records.put(namespace, id, { ...lease, resources: lease.resources.filter((held) => !same(held, resource)) });
  }

  /** Deletes the leases whose time is over; those that stand are what holds. */
  expire(namespace: string, now: number): Lease[] {
    for (const lease of this.list(namespace)) {
      const until = lease.labels[EXPIRE];
      if (until !== undefined && Date.parse(until) <= now) this.#records.delete(namespace, lease.id);
    }
    return this.list(namespace);
  }
}

const same = (a: LeaseResource, b: LeaseResource): boolean => a.type === b.type && a.id === b.id;
