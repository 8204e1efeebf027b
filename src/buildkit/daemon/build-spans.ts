/** A build as a trace: a span per vertex, from its beginning to its end. */
import type { SpanContext } from "../../trace/context.ts";
import type { Span, Tracer } from "../../trace/tracer.ts";
import type { BuildEvent } from "../progress.ts";

/** Lifecycle: new -> `listen` -> `end`, once, which ends what is still open. */
export class BuildSpans {
  readonly #span: Span;
  readonly #names = new Map<string, string>();
  readonly #open = new Map<string, Span>();

  constructor(tracer: Tracer, ref: string, parent: SpanContext | undefined) {
    this.#span = tracer.start("build", { parent, attributes: { build: ref } });
  }

  get traceId(): string {
    return this.#span.context.traceId;
  }

  readonly listen = (event: BuildEvent): void => {
    if (event.kind === "vertex") this.#names.set(event.id, event.name);
    else if (event.kind === "started")
      this.#open.set(event.id, this.#span.child(this.#names.get(event.id) ?? "step", { vertex: event.id }));
    else if (event.kind === "completed") this.#completed(event);
  };

  /** Of a vertex that has begun: the parent of what is done for it. */
  readonly contextOf = (id: string): SpanContext | undefined => this.#open.get(id)?.context;

  end(error?: unknown): void {
    for (const span of this.#open.values()) span.end();
    this.#open.clear();
    this.#span.end(error);
  }

  #completed({ id, cached, error }: Extract<BuildEvent, { readonly kind: "completed" }>): void {
    const span = this.#open.get(id);
    this.#open.delete(id);
    if (cached) span?.set({ cached: "true" });
    span?.end(error === "" ? undefined : error);
  }
}
