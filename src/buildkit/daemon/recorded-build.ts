/** What every build leaves: its messages for those who follow it, a trace, and a record in the history. */
import { messageOf } from "../../platform/errors.ts";
import type { SpanContext } from "../../trace/context.ts";
import type { Tracer } from "../../trace/tracer.ts";
import type { LiveBuild } from "../control/live-build.ts";
import type { Exporter } from "../gen/moby/buildkit/v1/control_pb.ts";
import type { BuildHistory } from "../history/history.ts";
import type { BuildOutcome, Recording } from "../history/recording.ts";
import { BuildSpans } from "./build-spans.ts";

export interface RecordingParts {
  readonly history: BuildHistory;
  readonly tracer: Tracer;
  readonly warn: (message: string) => void;
}

export interface RecordedFacts {
  readonly attributes: Readonly<Record<string, string>>;
  readonly exporters: readonly Exporter[];
  readonly parent: SpanContext | undefined;
  /** Asked by a client for itself: it is no build of anybody's. */
  readonly internal: boolean;
}

/** Lifecycle: new -> the build runs -> `end`, once, which disposes of the live build when all is kept. */
export class RecordedBuild {
  readonly #spans: BuildSpans;
  readonly #recording: Recording | undefined;

  constructor(
    private readonly parts: RecordingParts,
    readonly live: LiveBuild,
    { attributes, exporters, parent, internal }: RecordedFacts,
  ) {
    this.#spans = new BuildSpans(parts.tracer, live.ref, parent);
    const { traceId } = this.#spans;
    const facts = { ref: live.ref, attributes, exporters, traceId, counts: live.counts };
    this.#recording = internal ? undefined : parts.history.begin(facts);
    live.observer = {
      listen: this.#spans.listen,
      onExplained: (explanation) => this.#recording?.step(explanation),
      spanOf: this.#spans.contextOf,
    };
  }

  /** Returns at once; the rest is done behind. `error`: undefined when it went well. */
  end(error: unknown, response: Readonly<Record<string, string>> = {}, result?: BuildOutcome): void {
    const { live, parts } = this;
    live.finish();
    this.#spans.end(error);
    const log = live.encodedStatus();
    const kept = this.#recording
      ? parts.history.finish(this.#recording, { error, response, log, result })
      : Promise.resolve();
    kept
      .then(() => live[Symbol.asyncDispose]())
      .catch((failure: unknown) => parts.warn(`after build ${live.ref}: ${messageOf(failure)}`));
  }
}
