/**
 * How a client's calls reach hull-containerd: unary ones over ttrpc, which costs a fifth; streams, and calls that can be given up on the
 * other side too, over gRPC. Lifecycle: each connection is dialled by the first call that needs it, and again when it broke.
 */
import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import {
  create,
  type DescMessage,
  type DescMethodStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  toBinary,
} from "@bufbuild/protobuf";
import type { StreamResponse, Transport, UnaryResponse } from "@connectrpc/connect";
import { isRefused } from "../platform/grpc/call-failure.ts";
import { GrpcTransport } from "../platform/grpc/transport.ts";
import { TtrpcClient } from "./ttrpc/client.ts";

type CallHeaders = ConstructorParameters<typeof Headers>[0];

export interface ContainerdTransportOptions {
  /** gRPC's; ttrpc's is beside it, as containerd has it. */
  readonly socketPath: string;
  /** Of every call. */
  readonly headers: Readonly<Record<string, string>>;
  /** For a daemon that is being started again. */
  readonly patienceMs: number;
}

const RETRY_MS = 20;

export class ContainerdTransport implements Transport, AsyncDisposable {
  readonly #grpc: GrpcTransport;
  readonly #ttrpc: TtrpcClient;
  readonly #headers: Readonly<Record<string, string>>;

  readonly #patienceMs: number;

  constructor({ socketPath, headers, patienceMs }: ContainerdTransportOptions) {
    this.#grpc = new GrpcTransport({ dial: () => connect({ path: socketPath }), peer: "hull-containerd", headers });
    this.#ttrpc = new TtrpcClient(`${socketPath}.ttrpc`);
    this.#headers = headers;
    this.#patienceMs = patienceMs;
  }

  /** Again while nobody listens, for a while. */
  async unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: CallHeaders,
    input: MessageInitShape<I>,
  ): Promise<UnaryResponse<I, O>> {
    for (const giveUpAt = Date.now() + this.#patienceMs; ; ) {
      try {
        return await this.#once(method, signal, timeoutMs, header, input);
      } catch (error) {
        if (!isRefused(error) || Date.now() >= giveUpAt) throw error;
      }
      await delay(RETRY_MS, undefined, { signal });
    }
  }

  async #once<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: CallHeaders,
    input: MessageInitShape<I>,
  ): Promise<UnaryResponse<I, O>> {
    if (signal) return this.#grpc.unary(method, signal, timeoutMs, header, input);
    const metadata = new Map(Object.entries({ ...this.#headers, ...(header as Record<string, string> | undefined) }));
    const answer = await this.#ttrpc.call({
      service: method.parent.typeName,
      method: method.name,
      payload: toBinary(method.input, create(method.input, input)),
      timeoutMs: timeoutMs ?? 0,
      metadata,
    });
    const none = new Headers();
    const message = fromBinary(method.output, answer);
    return { stream: false, service: method.parent, method, header: none, trailer: none, message };
  }

  stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: CallHeaders,
    input: AsyncIterable<MessageInitShape<I>>,
  ): Promise<StreamResponse<I, O>> {
    return this.#grpc.stream(method, signal, timeoutMs, header, input);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ttrpc[Symbol.dispose]();
    await this.#grpc[Symbol.asyncDispose]();
  }
}
