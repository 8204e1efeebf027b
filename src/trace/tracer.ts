/**
 * Starts and records spans. Recording is a push onto an array; where the spans go is the sink's business (store.ts).
 * Parents are passed explicitly: `tracer.start("mount", { parent: span.context })`. No async-local state.
 */
import { messageOf } from "../platform/errors.ts";
import { epochMsOfMonotonic, nowMs } from "./clock.ts";
import { newSpanId, newTraceId, type SpanContext } from "./context.ts";
import type { SpanRecord } from "./span.ts";

export type Attributes = Readonly<Record<string, string | number>>;

export interface SpanOptions {
  readonly parent?: SpanContext | undefined;
  readonly attributes?: Attributes;
  /** Epoch milliseconds; now by default. */
  readonly startMs?: number;
}

export interface SpanSink {
  record(span: SpanRecord): void;
}

export interface Span extends Disposable {
  readonly context: SpanContext;
  set(attributes: Attributes): void;
  child(name: string, attributes?: Attributes): Span;
  /** Ends it; a second call does nothing. Disposal ends it too. */
  end(error?: unknown): void;
}

/** One kernel operation as keel measured it. */
export interface MeasuredStep {
  readonly name: string;
  readonly startNs: bigint;
  readonly durationNs: number;
  readonly attributes: Attributes;
  readonly error?: string;
}

/** Read from keel's answer when somebody asks. */
export type Measured = () => readonly MeasuredStep[];

export class Tracer {
  /** Time spent recording since the process began, in milliseconds, by the tracer's own clock. */
  costMs = 0;

  constructor(
    readonly service: string,
    private readonly sink: SpanSink,
  ) {}

  start(name: string, options: SpanOptions = {}): Span {
    const { parent } = options;
    const context = { traceId: parent?.traceId ?? newTraceId(), spanId: newSpanId() };
    return new OpenSpan(this, context, { name, parentId: parent?.spanId ?? "", options });
  }

  /** Runs `body` in a span and ends it with what was thrown. */
  async within<T>(name: string, options: SpanOptions, body: (span: Span) => Promise<T>): Promise<T> {
    const span = this.start(name, options);
    try {
      const result = await body(span);
      span.end();
      return result;
    } catch (error) {
      span.end(error);
      throw error;
    }
  }

  /** Records what keel executed as children of `parent`: a hundred operations, so not before what they were made for is answered. */
  steps(parent: SpanContext, measured: Measured): void {
    setImmediate(() => this.#record(parent, measured()));
  }

  #record(parent: SpanContext, steps: readonly MeasuredStep[]): void {
    for (const step of steps) {
      this.record({
        traceId: parent.traceId,
        spanId: newSpanId(),
        parentId: parent.spanId,
        name: step.name,
        service: "keel",
        startMs: epochMsOfMonotonic(step.startNs),
        durationMs: step.durationNs / 1e6,
        attributes: step.attributes,
        error: step.error ?? "",
      });
    }
  }

  record(span: SpanRecord): void {
    const before = performance.now();
    this.sink.record(span);
    this.costMs += performance.now() - before;
  }
}

interface Opening {
  readonly name: string;
  readonly parentId: string;
  readonly options: SpanOptions;
}

class OpenSpan implements Span {
  #attributes: Record<string, string | number>;
  readonly #startMs: number;
  /** On the monotonic clock: a change of the machine's clock in between is no part of a duration. */
  readonly #begunMs: number;
  #ended = false;

  constructor(
    private readonly tracer: Tracer,
    readonly context: SpanContext,
    private readonly opening: Opening,
  ) {
    this.#attributes = { ...opening.options.attributes };
    const now = nowMs();
    this.#startMs = opening.options.startMs ?? now;
    this.#begunMs = performance.now() - (now - this.#startMs);
  }

  set(attributes: Attributes): void {
    Object.assign(this.#attributes, attributes);
  }

  child(name: string, attributes: Attributes = {}): Span {
    return this.tracer.start(name, { parent: this.context, attributes });
  }

  end(error?: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.tracer.record({
      ...this.context,
      parentId: this.opening.parentId,
      name: this.opening.name,
      service: this.tracer.service,
      startMs: this.#startMs,
      durationMs: performance.now() - this.#begunMs,
      attributes: this.#attributes,
      error: error === undefined ? "" : messageOf(error),
    });
  }

  [Symbol.dispose](): void {
    this.end();
  }
}
