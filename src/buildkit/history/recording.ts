/** One build on its way into the history. Lifecycle: `BuildHistory.begin` -> `step` ... -> `finish`, once. */
import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { codeOf, HullError, messageOf } from "../../platform/errors.ts";
import { DETAILS_FACT } from "../../platform/grpc/call-failure.ts";
import { type BuildStep, STEPS_KEY, TRACE_KEY, WAITING_KEY } from "../explain/build-steps.ts";
import { StatusSchema } from "../gen/google/rpc/status_pb.ts";
import {
  type BuildHistoryRecord,
  BuildHistoryRecordSchema,
  BuildResultInfoSchema,
  type Exporter,
} from "../gen/moby/buildkit/v1/control_pb.ts";
import { vertexId } from "../graph/vertex-id.ts";
import type { Explanation } from "../solver/explain.ts";
import type { BlobFiles, WrittenBlob } from "./blob-files.ts";
import type { BuildCounts } from "./build-counts.ts";
import type { HistoryTable } from "./history-table.ts";

const LOG_TYPE = "application/vnd.buildkit.status.v0";
const ERROR_TYPE = "application/vnd.googeapis.google.rpc.status+proto";
const IN_TOTO_TYPE = "application/vnd.in-toto+json";
const CANCELLED = 1;
const UNKNOWN = 2;

export interface BuildFacts {
  readonly ref: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly exporters: readonly Exporter[];
  readonly traceId: string;
  readonly counts: BuildCounts;
}

export interface BuildEnd {
  /** undefined: it went well. */
  readonly error: unknown;
  /** "containerimage.digest", ... */
  readonly response: Readonly<Record<string, string>>;
  /** Status messages, encoded. */
  readonly log: AsyncIterable<Uint8Array>;
  /** undefined: there was none. */
  readonly result?: BuildOutcome | undefined;
}

/** What a build came to. */
export interface BuildOutcome {
  /** By platform, also of one: else the record names none. */
  readonly multiPlatform: boolean;
  /** Said of an image; the text is made when it is written. */
  readonly attested: readonly {
    readonly platform: string;
    readonly predicateType: string;
    readonly text: () => string;
  }[];
  /** What was stored, by the exporter's index: a manifest or an index. */
  readonly targets: ReadonlyMap<number, { readonly mediaType: string; readonly digest: string; readonly size: number }>;
}

export interface RecordingParts {
  readonly table: HistoryTable;
  readonly files: BlobFiles;
  readonly nowMs: () => number;
}

export class Recording {
  readonly #steps = new Map<string, Explanation>();
  readonly createdMs: number;

  constructor(
    private readonly parts: RecordingParts,
    readonly facts: BuildFacts,
  ) {
    this.createdMs = parts.nowMs();
    parts.table.put({
      ref: facts.ref,
      createdMs: this.createdMs,
      completedMs: 0,
      pinned: false,
      record: encoded(this.record()),
    });
  }

  /** As it is now. */
  record(): BuildHistoryRecord {
    const { ref, attributes, exporters, traceId, counts } = this.facts;
    return create(BuildHistoryRecordSchema, {
      Ref: ref,
      Frontend: "dockerfile.v0",
      FrontendAttrs: { ...attributes },
      Exporters: [...exporters],
      CreatedAt: timestampFromMs(this.createdMs),
      ExporterResponse: {
        [TRACE_KEY]: traceId,
        ...(counts.ahead !== undefined && { [WAITING_KEY]: String(counts.ahead) }),
      },
      numTotalSteps: counts.total,
      numCompletedSteps: counts.completed,
      numCachedSteps: counts.cached,
      numWarnings: counts.warnings,
    });
  }

  step(explanation: Explanation): void {
    this.#steps.set(vertexId(explanation.vertex), explanation);
  }

  /** Writes what is kept; the record as it stays. */
  async finish({ error, response, log, result }: BuildEnd): Promise<BuildHistoryRecord> {
    const completedMs = this.parts.nowMs();
    const record = this.record();
    record.CompletedAt = timestampFromMs(completedMs);
    const logs = await this.#keep(this.parts.files.write(framed(log)));
    record.logs = descriptor(logs, LOG_TYPE);
    if (error !== undefined) await this.#fail(record, error);
    if (result) await this.#keepResult(record, result);
    const steps = await this.#keepSteps();
    record.ExporterResponse = { ...response, [TRACE_KEY]: this.facts.traceId, [STEPS_KEY]: steps.digest };
    const { ref } = this.facts;
    this.parts.table.put({ ref, createdMs: this.createdMs, completedMs, pinned: false, record: encoded(record) });
    return record;
  }

  async #fail(record: BuildHistoryRecord, error: unknown): Promise<void> {
    const code = codeOf(error) === "cancelled" ? CANCELLED : UNKNOWN;
    record.error = create(StatusSchema, { code, message: messageOf(error) });
    const whole = wholeStatus(error);
    if (whole) record.externalError = descriptor(await this.#keep(this.parts.files.write([whole])), ERROR_TYPE);
  }

  async #keepResult(record: BuildHistoryRecord, { multiPlatform, attested, targets }: BuildOutcome): Promise<void> {
    const results = [...targets].map(
      ([index, { mediaType, ...blob }]) => [index, descriptor(blob, mediaType)] as const,
    );
    const whole = create(BuildResultInfoSchema, { Results: Object.fromEntries(results) });
    record.Result = whole;
    for (const { platform, predicateType, text } of attested) {
      const blob = await this.#keep(this.parts.files.write([Buffer.from(text())]));
      const kept = { ...descriptor(blob, IN_TOTO_TYPE), annotations: { "in-toto.io/predicate-type": predicateType } };
      const place = multiPlatform ? (record.Results[platform] ?? create(BuildResultInfoSchema)) : whole;
      if (multiPlatform) record.Results[platform] = place;
      place.Attestations.push(kept);
    }
  }

  async #keepSteps(): Promise<WrittenBlob> {
    const steps: BuildStep[] = [];
    for (const [id, { vertex, key, cached, reasons, parts }] of this.#steps)
      steps.push({
        ...{ digest: `sha256:${id}`, name: vertex.name, key, cached, reasons },
        parts: await this.#keepParts(key, parts),
      });
    return this.#keep(this.parts.files.write([Buffer.from(JSON.stringify(steps))]));
  }

  /** Steps of the same key have the same parts. */
  async #keepParts(key: string, parts: Explanation["parts"]): Promise<string> {
    const { table, files } = this.parts;
    const known = table.parts(key);
    if (known !== undefined) {
      table.use(this.facts.ref, known);
      return known;
    }
    const { digest } = await this.#keep(files.write([Buffer.from(JSON.stringify(parts()))]));
    table.setParts(key, digest);
    return digest;
  }

  async #keep(writing: Promise<WrittenBlob>): Promise<WrittenBlob> {
    const blob = await writing;
    this.parts.table.addBlob({ ...blob, madeMs: this.parts.nowMs() }, this.facts.ref);
    return blob;
  }
}

export const encoded = (record: BuildHistoryRecord): Uint8Array => toBinary(BuildHistoryRecordSchema, record);

const descriptor = ({ digest, size }: WrittenBlob, mediaType: string) => ({
  $typeName: "moby.buildkit.v1.Descriptor" as const,
  ...{ digest, size: BigInt(size), mediaType, annotations: {} },
});

/** With its place in the Dockerfile; undefined: its text says all. */
function wholeStatus(error: unknown): Uint8Array | undefined {
  const details = error instanceof HullError ? error.facts[DETAILS_FACT] : undefined;
  return typeof details === "string" ? Buffer.from(details, "base64") : undefined;
}

/** Each with its length before it (4 bytes, little endian), as BuildKit keeps them. */
async function* framed(messages: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const message of messages) {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(message.length);
    yield length;
    yield message;
  }
}
