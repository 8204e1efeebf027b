/** containerd.services.leases.v1 */
import { randomBytes } from "node:crypto";
import type { ServiceImpl } from "@connectrpc/connect";
import { HullError } from "../../platform/errors.ts";
import type { Collector } from "../collector.ts";
import type { Leases } from "../gen/containerd/services/leases/v1/leases_pb.ts";
import { fieldsOf, parseFilters } from "../store/filter.ts";
import type { Lease, LeaseResource } from "../store/leases.ts";
import type { Stores } from "../stores.ts";
import { namespaceOf } from "./call.ts";
import { toTimestamp } from "./convert.ts";

export function leasesService(stores: Stores, collector: Collector): ServiceImpl<typeof Leases> {
  const { leases } = stores;
  return {
    create: ({ id, labels }, context) => {
      const namespace = namespaceOf(context);
      stores.namespaces.ensure(namespace);
      return { lease: toWire(leases.create(namespace, id || randomBytes(16).toString("hex"), labels)) };
    },
    delete: async ({ id, sync }, context) => {
      leases.delete(namespaceOf(context), id);
      if (sync) await collector.collect();
      else collector.schedule();
      return {};
    },
    list: ({ filters }, context) => {
      const matches = parseFilters(filters);
      const found = leases.list(namespaceOf(context)).filter(({ id, labels }) => matches(fieldsOf({ id, labels })));
      return { leases: found.map(toWire) };
    },
    addResource: ({ id, resource }, context) => {
      leases.add(namespaceOf(context), id, checked(resource));
      return {};
    },
    deleteResource: ({ id, resource }, context) => {
      leases.remove(namespaceOf(context), id, checked(resource));
      collector.schedule();
      return {};
    },
    listResources: ({ id }, context) => ({
      resources: leases.get(namespaceOf(context), id).resources.map((resource) => ({ ...resource })),
    }),
  };
}

const toWire = ({ id, createdAt, labels }: Lease) => ({ id, createdAt: toTimestamp(createdAt), labels: { ...labels } });

function checked(resource: LeaseResource | undefined): LeaseResource {
  if (resource === undefined || !/^(content|ingests|snapshots\/.+)$/.test(resource.type)) {
    throw new HullError("unimplemented", `resource type "${resource?.type ?? ""}" is not supported`);
  }
  return { type: resource.type, id: resource.id };
}
