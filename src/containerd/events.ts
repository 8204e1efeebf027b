/**
 * Events of the stream as typed values. Topics and messages are containerd's (proto/containerd/events); on the wire an
 * event is an Any whose type is the message's full name without a host.
 */
import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import {
  ContainerCreateSchema,
  ContainerDeleteSchema,
  ContainerUpdateSchema,
} from "./gen/containerd/events/container_pb.ts";
import { ContentCreateSchema, ContentDeleteSchema } from "./gen/containerd/events/content_pb.ts";
import { ImageCreateSchema, ImageDeleteSchema, ImageUpdateSchema } from "./gen/containerd/events/image_pb.ts";
import {
  NamespaceCreateSchema,
  NamespaceDeleteSchema,
  NamespaceUpdateSchema,
} from "./gen/containerd/events/namespace_pb.ts";
import {
  SnapshotCommitSchema,
  SnapshotPrepareSchema,
  SnapshotRemoveSchema,
} from "./gen/containerd/events/snapshot_pb.ts";
import {
  TaskCreateSchema,
  TaskDeleteSchema,
  TaskExecAddedSchema,
  TaskExecStartedSchema,
  TaskExitSchema,
  TaskOOMSchema,
  TaskPausedSchema,
  TaskResumedSchema,
  TaskStartSchema,
} from "./gen/containerd/events/task_pb.ts";
import type { Envelope } from "./gen/containerd/types/event_pb.ts";

/** Topic to the message it carries. */
export const eventSchemas = {
  "/tasks/create": TaskCreateSchema,
  "/tasks/start": TaskStartSchema,
  "/tasks/exit": TaskExitSchema,
  "/tasks/delete": TaskDeleteSchema,
  "/tasks/oom": TaskOOMSchema,
  "/tasks/exec-added": TaskExecAddedSchema,
  "/tasks/exec-started": TaskExecStartedSchema,
  "/tasks/paused": TaskPausedSchema,
  "/tasks/resumed": TaskResumedSchema,
  "/containers/create": ContainerCreateSchema,
  "/containers/update": ContainerUpdateSchema,
  "/containers/delete": ContainerDeleteSchema,
  "/images/create": ImageCreateSchema,
  "/images/update": ImageUpdateSchema,
  "/images/delete": ImageDeleteSchema,
  "/content/create": ContentCreateSchema,
  "/content/delete": ContentDeleteSchema,
  "/snapshot/prepare": SnapshotPrepareSchema,
  "/snapshot/commit": SnapshotCommitSchema,
  "/snapshot/remove": SnapshotRemoveSchema,
  "/namespaces/create": NamespaceCreateSchema,
  "/namespaces/update": NamespaceUpdateSchema,
  "/namespaces/delete": NamespaceDeleteSchema,
} as const satisfies Record<string, DescMessage>;

export type EventTopic = keyof typeof eventSchemas;

/** What an event of this topic is made from. */
export type EventBody<T extends EventTopic> = MessageInitShape<(typeof eventSchemas)[T]>;

/** A decoded event: `topic` tells the type of `event`. */
export type ContainerdEvent = {
  [T in EventTopic]: { readonly topic: T; readonly event: MessageShape<(typeof eventSchemas)[T]> };
}[EventTopic];

/** The Any of an event's body. */
export function packEvent<T extends EventTopic>(topic: T, body: EventBody<T>): { typeUrl: string; value: Uint8Array } {
  const schema: DescMessage = eventSchemas[topic];
  return { typeUrl: schema.typeName, value: toBinary(schema, create(schema, body)) };
}

/** The typed event of an envelope; undefined for topics this version does not know. */
export function decodeEvent(envelope: Envelope): ContainerdEvent | undefined {
  const schema = (eventSchemas as Readonly<Record<string, DescMessage>>)[envelope.topic];
  if (schema === undefined || envelope.event === undefined || typeNameOf(envelope.event) !== schema.typeName)
    return undefined;
  return { topic: envelope.topic, event: fromBinary(schema, envelope.event.value) } as ContainerdEvent;
}

/** Full name of an Any's message: what follows the last slash of its type URL. */
export const typeNameOf = (any: Any): string => any.typeUrl.slice(any.typeUrl.lastIndexOf("/") + 1);
