/** hull.containerd.v1.Rootfs */
import type { ServiceImpl } from "@connectrpc/connect";
import { operation } from "../../keel/plan.ts";
import { HullError } from "../../platform/errors.ts";
import type { EventBroker } from "../event-broker.ts";
import type { Rootfs } from "../gen/hull/containerd/v1/rootfs_pb.ts";
import type { Kernel } from "../kernel.ts";
import type { MountHolds } from "../snapshots/mount-holds.ts";
import type { Snapshotter } from "../snapshots/snapshotter.ts";
import type { Stores } from "../stores.ts";
import { callOf, namespaceOf } from "./call.ts";
import { createSnapshot } from "./snapshots-service.ts";

export interface RootfsServiceOptions {
  readonly stores: Stores;
  readonly kernel: Kernel;
  readonly holds: MountHolds;
  readonly events: EventBroker;
  /** Called after the answer. */
  readonly onMade: (made: { readonly namespace: string; readonly id: string }) => void;
}

export function rootfsService({
  stores,
  kernel,
  holds,
  events,
  onMade,
}: RootfsServiceOptions): ServiceImpl<typeof Rootfs> {
  const { snapshotters } = stores;
  return {
    paths: async ({ snapshotter, key }, context) => {
      const { driver, data, root } = snapshotters.get(snapshotter).paths(namespaceOf(context), key);
      return { driver, data: { ...data }, root, mounted: await holds.isMounted(root) };
    },
    make: async (request, context) => {
      const { snapshotter, key } = request;
      await createSnapshot({ stores, events }, "prepare", { request, context });
      const namespace = namespaceOf(context);
      const { driver, data, root } = snapshotters.get(snapshotter).paths(namespace, key);
      setImmediate(() => onMade({ namespace, id: key }));
      return { driver, data: { ...data }, root, mounted: false };
    },
    mount: async ({ snapshotter, key, holder }, context) => {
      if (holder === "") throw new HullError("invalid-argument", "holder must be set");
      const options = { parent: callOf(context).span.context };
      return {
        path: await holds.hold(
          { snapshotter: snapshotters.get(snapshotter), namespace: namespaceOf(context), key },
          holder,
          options,
        ),
      };
    },
    unmount: async ({ snapshotter, key, holder }, context) => {
      await holds.release({ snapshotter: snapshotters.get(snapshotter), namespace: namespaceOf(context), key }, holder);
      return {};
    },
    changes: async ({ snapshotter, key }, context) => {
      const store = snapshotters.get(snapshotter);
      if (!store.independentLayers) {
        throw new HullError("unimplemented", `the ${store.name} storage driver cannot tell a container's changes yet`);
      }
      const { layer, lowers } = store.paths(namespaceOf(context), key);
      const plan = [operation("changes", { upper: layer, lowers: [...lowers] }, { cause: "diff" })];
      const { outputs } = await kernel.run(plan, { parent: callOf(context).span.context, signal: context.signal });
      return { changes: decodeChanges(outputs.get(0) ?? Buffer.alloc(0)) };
    },
    usage: async ({ snapshotter, keys }, context) => {
      const store = snapshotters.get(snapshotter);
      const namespace = namespaceOf(context);
      const wanted = keys.length > 0 ? keys : store.list(namespace).map((info) => info.name);
      return { snapshots: await usageOf(store, namespace, wanted) };
    },
  };
}

async function usageOf(store: Snapshotter, namespace: string, keys: readonly string[]) {
  return Promise.all(
    keys.map(async (key) => {
      const { bytes, inodes } = await store.usage(namespace, key);
      return { key, bytes: BigInt(bytes), inodes: BigInt(inodes) };
    }),
  );
}

/** Lines "A /path", each ended by NUL. */
function decodeChanges(output: Buffer): { kind: string; path: string }[] {
  return output
    .toString("utf8")
    .split("\0")
    .filter((line) => line !== "")
    .map((line) => ({ kind: line.slice(0, 1), path: line.slice(2) }))
    .sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
}
