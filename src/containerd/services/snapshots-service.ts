/** containerd.services.snapshots.v1 */
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { HullError } from "../../platform/errors.ts";
import type { EventBroker } from "../event-broker.ts";
import { Kind, type Snapshots } from "../gen/containerd/services/snapshots/v1/snapshots_pb.ts";
import type { SnapshotInfo } from "../snapshots/snapshotter.ts";
import { fieldsOf, parseFilters } from "../store/filter.ts";
import type { Stores } from "../stores.ts";
import { callOf, namespaceOf } from "./call.ts";
import { checkMask, maskedLabels, toTimestamp, toWireMount } from "./convert.ts";

const PER_MESSAGE = 100;

interface Parts {
  readonly stores: Stores;
  readonly events: EventBroker;
}

export const snapshotsService = (stores: Stores, events: EventBroker): ServiceImpl<typeof Snapshots> => ({
  ...changing({ stores, events }),
  ...reading(stores),
});

function hold(
  { stores }: Parts,
  context: HandlerContext,
  { snapshotter, name }: { readonly snapshotter: string; readonly name: string },
): void {
  const { lease } = callOf(context);
  if (lease !== undefined)
    stores.leases.add(namespaceOf(context), lease, { type: `snapshots/${snapshotter}`, id: name });
}

/** A new snapshot, of which everybody is told. */
export async function createSnapshot(
  parts: Parts,
  kind: "prepare" | "view",
  { request, context }: { readonly request: Creation; readonly context: HandlerContext },
) {
  const { snapshotter, key, parent, labels } = request;
  const { stores, events } = parts;
  const namespace = namespaceOf(context);
  stores.namespaces.ensure(namespace);
  hold(parts, context, { snapshotter, name: key });
  const { span, signal } = callOf(context);
  const options = { parent: span.context, signal };
  const mounts = await stores.snapshotters.get(snapshotter)[kind](namespace, { key, parent, labels }, options);
  events.publish(namespace, "/snapshot/prepare", { key, parent, snapshotter });
  return { mounts: mounts.map(toWireMount) };
}

const changing = (
  parts: Parts,
): Pick<ServiceImpl<typeof Snapshots>, "prepare" | "view" | "commit" | "remove" | "cleanup"> => ({
  prepare: (request, context) => createSnapshot(parts, "prepare", { request, context }),
  view: (request, context) => createSnapshot(parts, "view", { request, context }),
  commit: async ({ snapshotter, name, key, labels, parent }, context) => {
    const namespace = namespaceOf(context);
    hold(parts, context, { snapshotter, name });
    await parts.stores.snapshotters.get(snapshotter).commit(namespace, { name, key, labels, parent });
    parts.events.publish(namespace, "/snapshot/commit", { key, name, snapshotter });
    return {};
  },
  remove: async ({ snapshotter, key }, context) => {
    const namespace = namespaceOf(context);
    await parts.stores.snapshotters.get(snapshotter).remove(namespace, key, { parent: callOf(context).span.context });
    parts.events.publish(namespace, "/snapshot/remove", { key, snapshotter });
    return {};
  },
  // Removed trees are deleted by themselves.
  cleanup: () => ({}),
});

const reading = ({
  snapshotters,
}: Stores): Pick<ServiceImpl<typeof Snapshots>, "mounts" | "stat" | "update" | "list" | "usage"> => ({
  mounts: ({ snapshotter, key }, context) => ({
    mounts: snapshotters.get(snapshotter).mounts(namespaceOf(context), key).map(toWireMount),
  }),
  stat: ({ snapshotter, key }, context) => ({
    info: toWire(snapshotters.get(snapshotter).stat(namespaceOf(context), key)),
  }),
  update: ({ snapshotter, info, updateMask }, context) => {
    if (info === undefined) throw new HullError("invalid-argument", "info is missing");
    const store = snapshotters.get(snapshotter);
    checkMask(updateMask?.paths, ["labels"], `snapshot "${info.name}"`);
    const before = store.stat(namespaceOf(context), info.name);
    const labels = maskedLabels(before.labels, info.labels, updateMask?.paths);
    return { info: toWire(store.label(namespaceOf(context), info.name, labels)) };
  },
  async *list({ snapshotter, filters }, context) {
    const matches = parseFilters(filters);
    const found = snapshotters
      .get(snapshotter)
      .list(namespaceOf(context))
      .filter((info) => matches(fieldsOfSnapshot(info)));
    for (let at = 0; at < found.length; at += PER_MESSAGE)
      yield { info: found.slice(at, at + PER_MESSAGE).map(toWire) };
  },
  usage: async ({ snapshotter, key }, context) => {
    const { bytes, inodes } = await snapshotters.get(snapshotter).usage(namespaceOf(context), key);
    return { size: BigInt(bytes), inodes: BigInt(inodes) };
  },
});

interface Creation {
  readonly snapshotter: string;
  readonly key: string;
  readonly parent: string;
  readonly labels: Readonly<Record<string, string>>;
}

const kinds = { active: Kind.ACTIVE, view: Kind.VIEW, committed: Kind.COMMITTED } as const;

const toWire = (info: SnapshotInfo) => ({
  name: info.name,
  parent: info.parent,
  kind: kinds[info.kind],
  createdAt: toTimestamp(info.createdAt),
  updatedAt: toTimestamp(info.updatedAt),
  labels: { ...info.labels },
});

const fieldsOfSnapshot = ({ name, parent, kind, labels }: SnapshotInfo) => fieldsOf({ name, parent, kind, labels });
