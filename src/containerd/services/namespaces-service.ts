/** containerd.services.namespaces.v1 */
import type { ServiceImpl } from "@connectrpc/connect";
import { HullError } from "../../platform/errors.ts";
import type { Namespaces } from "../gen/containerd/services/namespaces/v1/namespaces_pb.ts";
import type { NamespaceRecord } from "../store/namespaces.ts";
import type { Stores } from "../stores.ts";
import { maskedLabels } from "./convert.ts";

export function namespacesService(stores: Stores): ServiceImpl<typeof Namespaces> {
  const { namespaces } = stores;
  return {
    get: ({ name }) => ({ namespace: toWire(namespaces.get(name)) }),
    list: () => ({ namespaces: namespaces.list().map(toWire) }),
    create: ({ namespace }) => {
      if (namespace === undefined) throw new HullError("invalid-argument", "namespace is missing");
      return { namespace: toWire(namespaces.create(namespace.name, namespace.labels)) };
    },
    update: ({ namespace, updateMask }) => {
      if (namespace === undefined) throw new HullError("invalid-argument", "namespace is missing");
      const before = namespaces.get(namespace.name);
      const labels = maskedLabels(before.labels, namespace.labels, updateMask?.paths);
      return { namespace: toWire(namespaces.label(namespace.name, labels)) };
    },
    delete: ({ name }) => {
      namespaces.delete(name, contentsOf(stores, name));
      return {};
    },
  };
}

const toWire = ({ name, labels }: NamespaceRecord) => ({ name, labels: { ...labels } });

function contentsOf(stores: Stores, name: string): string[] {
  const counts = {
    containers: stores.containers.list(name).length,
    images: stores.images.list(name).length,
    blobs: stores.content.list(name).length,
    leases: stores.leases.list(name).length,
    snapshots: stores.snapshotters.all().flatMap((store) => store.list(name)).length,
  };
  return Object.entries(counts).flatMap(([what, count]) => (count > 0 ? [`${count} ${what}`] : []));
}
