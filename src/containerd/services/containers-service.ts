/** containerd.services.containers.v1 */
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { HullError } from "../../platform/errors.ts";
import type { Collector } from "../collector.ts";
import type {
  Container,
  Containers,
  UpdateContainerRequest,
} from "../gen/containerd/services/containers/v1/containers_pb.ts";
import type { ContainerSummary } from "../store/containers.ts";
import { fieldsOf, parseFilters } from "../store/filter.ts";
import type { Stores } from "../stores.ts";
import type { TaskTable } from "../tasks/task-table.ts";
import { namespaceOf } from "./call.ts";
import { checkMask, masked, maskedLabels } from "./convert.ts";

export interface ContainersServiceOptions {
  readonly stores: Stores;
  readonly tasks: TaskTable;
  readonly collector: Collector;
}

export function containersService({
  stores,
  tasks,
  collector,
}: ContainersServiceOptions): ServiceImpl<typeof Containers> {
  const { containers } = stores;
  const list = (filters: readonly string[], context: HandlerContext): Container[] => {
    const matches = parseFilters(filters);
    const namespace = namespaceOf(context);
    const wanted = containers.list(namespace).filter((container) => matches(fieldsOfContainer(container)));
    return wanted.map(({ id }) => containers.get(namespace, id));
  };
  return {
    get: ({ id }, context) => ({ container: containers.get(namespaceOf(context), id) }),
    list: ({ filters }, context) => ({ containers: list(filters, context) }),
    async *listStream({ filters }, context) {
      for (const container of list(filters, context)) yield { container };
    },
    create: ({ container }, context) => {
      if (container === undefined) throw new HullError("invalid-argument", "container is missing");
      const namespace = namespaceOf(context);
      stores.namespaces.ensure(namespace);
      return { container: containers.create(namespace, container) };
    },
    update: (request, context) => ({ container: update(stores, namespaceOf(context), request) }),
    delete: ({ id }, context) => {
      const namespace = namespaceOf(context);
      containers.get(namespace, id);
      if (tasks.find(namespace, id)) {
        throw new HullError("failed-precondition", `container ${id} has a task: delete it first`);
      }
      containers.delete(namespace, id);
      collector.schedule();
      return {};
    },
  };
}

const updatable = ["labels", "spec", "extensions", "image", "snapshot_key", "runtime", "snapshotter"];

function update(stores: Stores, namespace: string, { container, updateMask }: UpdateContainerRequest): Container {
  if (container === undefined) throw new HullError("invalid-argument", "container is missing");
  const paths = updateMask?.paths;
  checkMask(paths, updatable, `container "${container.id}"`);
  const before = stores.containers.get(namespace, container.id);
  const { spec, image, snapshotKey, runtime, snapshotter } = container;
  const extensions = masked(paths, "extensions")
    ? { extensions: { ...before.extensions, ...container.extensions } }
    : {};
  return stores.containers.update(namespace, container.id, {
    labels: maskedLabels(before.labels, container.labels, paths),
    ...(masked(paths, "spec") && spec && { spec }),
    ...(masked(paths, "image") && { image }),
    ...(masked(paths, "snapshot_key") && { snapshotKey }),
    ...(masked(paths, "runtime") && runtime && { runtime }),
    ...(masked(paths, "snapshotter") && { snapshotter }),
    ...extensions,
  });
}

const fieldsOfContainer = ({ id, image, labels, runtime }: ContainerSummary) =>
  fieldsOf({ id, image, labels, runtime: { name: runtime?.name ?? "" } });
