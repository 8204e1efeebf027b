/** The engine's history of builds, asked for over BuildKit's protocol. */
import {
  create,
  type DescMessage,
  type DescMethodStreaming,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import { type BuildStep, STEPS_KEY } from "../../buildkit/explain/build-steps.ts";
import type { KeyParts } from "../../buildkit/explain/differences.ts";
import {
  BuildHistoryEventType,
  type BuildHistoryRecord,
  BuildHistoryRequestSchema,
  Control,
  type StatusResponse,
} from "../../buildkit/gen/moby/buildkit/v1/control_pb.ts";
import { Content, ReadContentRequestSchema } from "../../containerd/gen/containerd/services/content/v1/content_pb.ts";
import { HullError } from "../../platform/errors.ts";
import type { GrpcTransport } from "../../platform/grpc/transport.ts";
import { transportOn, upgradeToHttp2 } from "../build/connection.ts";
import type { Session } from "../session.ts";

/** Lifecycle: `open` -> questions -> disposal. */
export class BuildHistory implements AsyncDisposable {
  private constructor(private readonly transport: GrpcTransport) {}

  static async open({ address, traceparent }: Session): Promise<BuildHistory> {
    return new BuildHistory(transportOn(await upgradeToHttp2(address, "/grpc", []), { traceparent }));
  }

  /** The latest first. */
  async list(filters: readonly string[] = [], ref = ""): Promise<readonly BuildHistoryRecord[]> {
    const request = create(BuildHistoryRequestSchema, { EarlyExit: true, Ref: ref, Filter: [...filters] });
    const found: BuildHistoryRecord[] = [];
    for await (const { type, record } of this.#stream(Control.method.listenBuildHistory, request))
      if (record && type !== BuildHistoryEventType.DELETED) found.push(record);
    return found.reverse();
  }

  /** By its reference, the beginning of one, "^N" (the Nth before the latest), or "" (the latest). Throws not-found. */
  async find(name: string): Promise<BuildHistoryRecord> {
    const records = await this.list();
    const offset = /^\^(\d+)$/.exec(name)?.[1];
    if (name === "" || offset !== undefined) {
      const record = records[Number(offset ?? 0)];
      if (record) return record;
      throw new HullError(
        "not-found",
        records.length === 0 ? "no builds are known" : `only ${records.length} builds are known: there is no ${name}`,
      );
    }
    const matches = records.filter(({ Ref }) => Ref === name || Ref.startsWith(name));
    const exact = matches.find(({ Ref }) => Ref === name) ?? (matches.length === 1 ? matches[0] : undefined);
    if (exact) return exact;
    throw new HullError(
      matches.length === 0 ? "not-found" : "invalid-argument",
      matches.length === 0
        ? `no such build: ${name} (hull builds ls shows those that are known)`
        : `${name} is the beginning of ${matches.length} builds: give more of it`,
    );
  }

  async remove(ref: string): Promise<void> {
    await this.transport.unary(Control.method.updateBuildHistory, undefined, undefined, undefined, {
      Ref: ref,
      Delete: true,
    });
  }

  status(ref: string): AsyncIterable<StatusResponse> {
    return this.#stream(Control.method.status, { Ref: ref });
  }

  /** Of a build that has ended; none of one that is under way. */
  async steps({ ExporterResponse }: BuildHistoryRecord): Promise<readonly BuildStep[]> {
    const digest = ExporterResponse[STEPS_KEY] ?? "";
    return digest === "" ? [] : this.#document<readonly BuildStep[]>(digest);
  }

  async parts({ parts }: BuildStep): Promise<KeyParts | undefined> {
    return parts === "" ? undefined : this.#document<KeyParts>(parts);
  }

  async #document<T>(digest: string): Promise<T> {
    const pieces: Uint8Array[] = [];
    const request = create(ReadContentRequestSchema, { digest });
    for await (const { data } of this.#stream(Content.method.read, request)) pieces.push(data);
    return JSON.parse(Buffer.concat(pieces).toString()) as T;
  }

  #stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    input: MessageInitShape<I>,
  ): AsyncGenerator<MessageShape<O>> {
    const one = (async function* () {
      yield input;
    })();
    return this.transport.converse(method, { signal: undefined, headers: {} }, one);
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.transport[Symbol.asyncDispose]();
  }
}
