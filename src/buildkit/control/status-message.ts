/** What a build says as BuildKit's status messages. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import {
  type StatusResponse,
  StatusResponseSchema,
  type VertexLogSchema,
  type VertexSchema,
  type VertexStatusSchema,
  type VertexWarningSchema,
} from "../gen/moby/buildkit/v1/control_pb.ts";
import type { BuildEvent } from "../progress.ts";

export const timestampOf = (ns: bigint): Timestamp =>
  create(TimestampSchema, { seconds: ns / 1_000_000_000n, nanos: Number(ns % 1_000_000_000n) });

const digestOf = (id: string): string => (id.includes(":") ? id : `sha256:${id}`);

type VertexMessage = MessageInitShape<typeof VertexSchema>;

/** The file that warnings point into. */
export interface SourceText {
  readonly file: string;
  readonly data: Uint8Array;
}

/**
 * Collects events into messages. A vertex message says everything of it each time, so what was told before is remembered.
 * Lifecycle: `take` ... -> `message` (empties it) -> ...
 */
export class StatusCollector {
  readonly #known = new Map<string, VertexMessage>();
  #vertexes = new Map<string, VertexMessage>();
  #statuses: MessageInitShape<typeof VertexStatusSchema>[] = [];
  #logs: MessageInitShape<typeof VertexLogSchema>[] = [];
  #warnings: MessageInitShape<typeof VertexWarningSchema>[] = [];
  logBytes = 0;

  constructor(private readonly source: () => SourceText | undefined) {}

  get isEmpty(): boolean {
    return this.#vertexes.size + this.#statuses.length + this.#logs.length + this.#warnings.length === 0;
  }

  take(event: BuildEvent): void {
    switch (event.kind) {
      case "vertex":
        this.#vertex(event.id, { name: event.name, inputs: event.inputs.map(digestOf) });
        return;
      case "started":
        this.#vertex(event.id, { started: timestampOf(event.atNs) });
        return;
      case "completed":
        this.#completed(event);
        return;
      case "waiting":
        this.#waiting(event);
        return;
      case "log":
        this.logBytes += event.data.length;
        this.#logs.push({
          vertex: digestOf(event.id),
          timestamp: timestampOf(event.atNs),
          stream: BigInt(event.stream),
          msg: event.data,
        });
        return;
      case "status":
        this.#statuses.push({
          ID: event.name,
          vertex: digestOf(event.id),
          name: event.name,
          current: BigInt(event.current),
          total: BigInt(event.total),
          timestamp: timestampOf(event.completedNs || event.startedNs),
          started: timestampOf(event.startedNs),
          ...(event.completedNs !== 0n && { completed: timestampOf(event.completedNs) }),
        });
        return;
      case "warning":
        this.#warning(event);
        return;
      case "step":
        return; // The classic builder's.
    }
  }

  /** Everything since the last message. */
  message(): StatusResponse {
    const made = create(StatusResponseSchema, {
      vertexes: [...this.#vertexes.values()],
      statuses: this.#statuses,
      logs: this.#logs,
      warnings: this.#warnings,
    });
    this.#vertexes = new Map();
    this.#statuses = [];
    this.#logs = [];
    this.#warnings = [];
    this.logBytes = 0;
    return made;
  }

  #vertex(id: string, news: Partial<VertexMessage>): void {
    const digest = digestOf(id);
    const vertex = { ...this.#known.get(digest), ...news, digest } as VertexMessage;
    this.#known.set(digest, vertex);
    this.#vertexes.set(digest, vertex);
  }

  #completed(event: Extract<BuildEvent, { readonly kind: "completed" }>): void {
    const completed = timestampOf(event.atNs);
    const started = this.#known.get(digestOf(event.id))?.started ?? completed;
    this.#vertex(event.id, { started, completed, cached: event.cached, error: event.error });
  }

  #waiting(event: Extract<BuildEvent, { readonly kind: "waiting" }>): void {
    const at = timestampOf(event.atNs);
    const name = `waiting for a build slot, ${event.ahead} ahead`;
    this.#statuses.push({ ID: "waiting", vertex: digestOf(event.id), name, timestamp: at, started: at });
  }

  #warning(event: Extract<BuildEvent, { readonly kind: "warning" }>): void {
    const source = this.source();
    const range = { start: { line: event.startLine }, end: { line: event.endLine } };
    this.#warnings.push({
      vertex: event.id === "" ? "" : digestOf(event.id),
      level: 1n,
      short: Buffer.from(event.short),
      detail: event.detail === "" ? [] : [Buffer.from(event.detail)],
      url: event.url,
      ...(source && { info: { filename: source.file, data: source.data, language: "Dockerfile" }, ranges: [range] }),
    });
  }
}
