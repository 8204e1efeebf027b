/** The services about the daemon: version, introspection, events and hull.containerd.v1.Daemon. */
import { readFileSync, statSync } from "node:fs";
import type { ServiceImpl } from "@connectrpc/connect";
import { HullError } from "../../platform/errors.ts";
import { HULL_VERSION } from "../../platform/version.ts";
import type { SpanStore } from "../../trace/store.ts";
import type { Collector } from "../collector.ts";
import type { EventBroker } from "../event-broker.ts";
import type { Events } from "../gen/containerd/services/events/v1/events_pb.ts";
import type { Introspection } from "../gen/containerd/services/introspection/v1/introspection_pb.ts";
import type { Version } from "../gen/containerd/services/version/v1/version_pb.ts";
import type { Daemon } from "../gen/hull/containerd/v1/daemon_pb.ts";
import { fieldsOf, parseFilters } from "../store/filter.ts";
import { fileSystemOf, type Stores, schemaVersions } from "../stores.ts";
import type { TaskTable } from "../tasks/task-table.ts";
import { namespaceOf } from "./call.ts";

/** containerd's API level that this daemon speaks. */
const API_VERSION = "v1.7.0";

export const versionService = (): ServiceImpl<typeof Version> => ({
  version: () => ({ version: `${API_VERSION}+hull.${HULL_VERSION}`, revision: HULL_VERSION }),
});

export function introspectionService(uuid: string, stores: Stores): ServiceImpl<typeof Introspection> {
  const platforms = [{ os: "linux", architecture: process.arch === "x64" ? "amd64" : process.arch }];
  const plugins = [
    ...stores.snapshotters.all().map((store) => ({ type: "io.containerd.snapshotter.v1", id: store.name, platforms })),
    ...[
      "containers",
      "content",
      "diff",
      "events",
      "images",
      "introspection",
      "leases",
      "namespaces",
      "snapshots",
      "tasks",
      "version",
    ].map((id) => ({
      type: "io.containerd.grpc.v1",
      id: `${id}-service`.replace("version-service", "version"),
      platforms,
    })),
    { type: "io.containerd.runtime.v2", id: "task", platforms },
  ];
  return {
    plugins: ({ filters }) => {
      const matches = parseFilters(filters);
      return { plugins: plugins.filter(({ type, id }) => matches(fieldsOf({ type, id }))) };
    },
    server: () => ({ uuid, pid: BigInt(process.pid), pidns: BigInt(statSync("/proc/self/ns/pid").ino) }),
    pluginInfo: ({ type, id }) => {
      const plugin = plugins.find((one) => one.type === type && one.id === id);
      if (plugin === undefined) throw new HullError("not-found", `plugin ${type}.${id}: not found`);
      return { plugin };
    },
  };
}

export const eventsService = (events: EventBroker): ServiceImpl<typeof Events> => ({
  publish: ({ topic, event }, context) => {
    if (event === undefined || !topic.startsWith("/"))
      throw new HullError("invalid-argument", "topic and event must be set");
    const now = Date.now();
    const timestamp = {
      $typeName: "google.protobuf.Timestamp" as const,
      seconds: BigInt(Math.floor(now / 1000)),
      nanos: (now % 1000) * 1e6,
    };
    events.forward({
      $typeName: "containerd.types.Envelope",
      timestamp,
      namespace: namespaceOf(context),
      topic,
      event,
    });
    return {};
  },
  forward: ({ envelope }) => {
    if (envelope === undefined) throw new HullError("invalid-argument", "envelope must be set");
    events.forward(envelope);
    return {};
  },
  subscribe: ({ filters }, context) => events.subscribe(filters, context.signal),
});

export interface DaemonServiceOptions {
  readonly stores: Stores;
  readonly tasks: TaskTable;
  readonly collector: Collector;
  readonly spans: SpanStore;
  readonly dataRoot: string;
  readonly cgroupMode: string;
  readonly keelPid: () => number;
}

export function daemonService(options: DaemonServiceOptions): ServiceImpl<typeof Daemon> {
  const { stores, tasks, collector, spans } = options;
  return {
    status: () => ({
      version: HULL_VERSION,
      pid: process.pid,
      keelPid: options.keelPid(),
      schemas: { ...schemaVersions },
      degraded: [...stores.degraded],
      storageDriver: stores.snapshotters.default.name,
      backingFilesystem: fileSystemOf(options.dataRoot),
      cgroupMode: options.cgroupMode,
      tasks: countStates(tasks),
    }),
    spans: ({ traceId, containerId }) => {
      const query = traceId !== "" ? { traceId } : { container: containerId };
      return { json: Buffer.from(JSON.stringify(spans.find(query))) };
    },
    collect: async () => {
      const { blobs, snapshots, bytes } = await collector.collect();
      return { blobs, snapshots, bytes: BigInt(bytes) };
    },
  };
}

function countStates(tasks: TaskTable): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const task of tasks.list()) counts[task.init.state.kind] = (counts[task.init.state.kind] ?? 0) + 1;
  return counts;
}

/** This installation's id, kept across restarts. */
export function readUuid(path: string, fresh: () => string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return fresh();
  }
}
