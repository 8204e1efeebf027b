/**
 * A build that a client drives or follows by its reference: what it has said so far, which any number of clients read from the beginning, and the
 * results that the client may return.
 *
 * Lifecycle: new -> `listen` takes events, `addResult` -> `finish` (nothing more is said) -> disposal once its readers are done.
 */
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import type { BuiltImage } from "../build.ts";
import { Spool } from "../daemon/spool.ts";
import { type StatusResponse, StatusResponseSchema } from "../gen/moby/buildkit/v1/control_pb.ts";
import type { BuildEvent } from "../progress.ts";
import { type SourceText, StatusCollector } from "./status-message.ts";

/** News are gathered this long, and until this much output. */
const GATHER_MS = 50;
const GATHER_BYTES = 64 * 1024;

export class LiveBuild implements AsyncDisposable {
  readonly #spool: Spool;
  readonly #collector = new StatusCollector(() => this.source);
  readonly #results = new Map<string, BuiltImage>();
  readonly #abort = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #finished = false;
  #readers = 0;
  #lastReader: (() => void) | undefined;
  /** The Dockerfile, once it is there. */
  source: SourceText | undefined;

  constructor(
    readonly ref: string,
    readonly sessionId: string,
    spoolDirectory: string,
  ) {
    this.#spool = new Spool(spoolDirectory);
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  cancel(reason: Error): void {
    this.#abort.abort(reason);
  }

  readonly listen = (event: BuildEvent): void => {
    this.#collector.take(event);
    if (this.#collector.logBytes >= GATHER_BYTES) this.#write();
    else this.#timer ??= setTimeout(() => this.#write(), GATHER_MS);
  };

  /** Everything from the beginning until `finish`. */
  async *status(): AsyncGenerator<StatusResponse> {
    this.#readers++;
    try {
      for await (const { data } of this.#spool.read()) yield fromBinary(StatusResponseSchema, data);
    } finally {
      this.#readers--;
      if (this.#readers === 0) this.#lastReader?.();
    }
  }

  /** Answers its name. */
  addResult(image: BuiltImage): string {
    const name = `${this.ref}-${this.#results.size}`;
    this.#results.set(name, image);
    return name;
  }

  result(name: string): BuiltImage | undefined {
    return this.#results.get(name);
  }

  finish(): void {
    if (this.#finished) return;
    this.#write();
    this.#finished = true;
    this.#spool.end();
  }

  /** Waits for those who still read, at most `patienceMs`. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.finish();
    if (this.#readers > 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#lastReader = resolve;
      const timer = setTimeout(resolve, PATIENCE_MS);
      await promise;
      clearTimeout(timer);
    }
    await this.#spool[Symbol.asyncDispose]();
  }

  #write(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#finished || this.#collector.isEmpty) return;
    this.#spool.append(1, toBinary(StatusResponseSchema, this.#collector.message()));
  }
}

const PATIENCE_MS = 10_000;
