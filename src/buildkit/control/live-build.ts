/**
 * A build that a client drives or follows by its reference: what it has said so far, which any number of clients read from the beginning, and the
 * results that the client may return.
 *
 * Lifecycle: new -> `listen` takes events, `addResult` -> `finish` (nothing more is said) -> disposal once its readers are done.
 */
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import type { SpanContext } from "../../trace/context.ts";
import type { BuiltImage } from "../build.ts";
import { type StatusResponse, StatusResponseSchema } from "../gen/moby/buildkit/v1/control_pb.ts";
import { BuildCounts } from "../history/build-counts.ts";
import type { BuildEvent } from "../progress.ts";
import type { Explanation } from "../solver/explain.ts";
import { Spool } from "../solver/spool.ts";
import { type SourceText, StatusCollector } from "./status-message.ts";

/** News are gathered this long, and until this much output. */
const GATHER_MS = 50;
const GATHER_BYTES = 64 * 1024;

export interface LiveBuildFacts {
  readonly ref: string;
  readonly sessionId: string;
  readonly entitlements: readonly string[];
}

/** What a client that drives its build gives back. */
export interface ReturnedImages {
  readonly images: readonly BuiltImage[];
  /** As a map of platforms. */
  readonly multiPlatform: boolean;
}

/** Who else hears of a build: its trace and its record. */
export interface BuildObserver {
  readonly listen: (event: BuildEvent) => void;
  readonly onExplained: (explanation: Explanation) => void;
  /** The span of a vertex that has begun. */
  readonly spanOf: (id: string) => SpanContext | undefined;
}

export class LiveBuild implements AsyncDisposable {
  readonly #spool: Spool;
  readonly #collector = new StatusCollector(() => this.source);
  readonly #results = new Map<string, BuiltImage>();
  readonly #abort = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #finished = false;
  #readers = 0;
  #lastReader: (() => void) | undefined;
  readonly #returned = Promise.withResolvers<ReturnedImages>();
  readonly counts = new BuildCounts();
  observer: BuildObserver | undefined;
  /** Let go of when the build is over: layers of its results. */
  readonly holds = new AsyncDisposableStack();
  /** The Dockerfile, once it is there. */
  source: SourceText | undefined;

  readonly ref: string;
  readonly sessionId: string;
  /** What the client allows. */
  readonly entitlements: readonly string[];

  constructor(facts: LiveBuildFacts, spoolDirectory: string) {
    this.ref = facts.ref;
    this.sessionId = facts.sessionId;
    this.entitlements = facts.entitlements;
    this.#spool = new Spool(spoolDirectory);
    this.#returned.promise.catch(() => undefined); // Told to who waits.
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  cancel(reason: Error): void {
    this.#abort.abort(reason);
  }

  readonly listen = (event: BuildEvent): void => {
    this.counts.take(event);
    this.observer?.listen(event);
    this.#collector.take(event);
    if (this.#collector.logBytes >= GATHER_BYTES) this.#write();
    else this.#timer ??= setTimeout(() => this.#write(), GATHER_MS);
  };

  /** Everything from the beginning until `finish`. */
  async *status(): AsyncGenerator<StatusResponse> {
    for await (const data of this.encodedStatus()) yield fromBinary(StatusResponseSchema, data);
  }

  async *encodedStatus(): AsyncGenerator<Uint8Array> {
    this.#readers++;
    try {
      for await (const { data } of this.#spool.follow()) yield data;
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

  /** The client's part is over. */
  giveBack(result: ReturnedImages): void {
    this.#returned.resolve(result);
  }

  fail(error: Error): void {
    this.#returned.reject(error);
  }

  /** What the client gave back. Rejects with its failure, and with the signal's reason. */
  async returned(signal: AbortSignal): Promise<ReturnedImages> {
    const aborted = (): void => this.#returned.reject(signal.reason);
    if (signal.aborted) aborted();
    signal.addEventListener("abort", aborted, { once: true });
    try {
      return await this.#returned.promise;
    } finally {
      signal.removeEventListener("abort", aborted);
    }
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
    await this.holds.disposeAsync();
    await this.#spool[Symbol.asyncDispose]();
  }

  #write(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#finished || this.#collector.isEmpty) return;
    const data = toBinary(StatusResponseSchema, this.#collector.message());
    // A write that fails is told to who reads.
    void this.#spool.append({ stream: 1, atNs: 0n, data });
  }
}

const PATIENCE_MS = 10_000;
