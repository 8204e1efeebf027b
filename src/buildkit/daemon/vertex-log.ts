/** What became of a build's vertices so far, and what their commands said: each is followed by any number of readers. */
import type { BuildEvent } from "../progress.ts";
import { Spool } from "../solver/spool.ts";

export interface VertexEnd {
  /** cancelled: it was given up, or nobody asked for it. */
  readonly kind: "done" | "failed" | "cancelled";
  /** Its result was known before. */
  readonly cached: boolean;
}

export interface VertexLog {
  readonly output: Spool;
  readonly ended: Promise<VertexEnd>;
  readonly end: VertexEnd | undefined;
}

class Entry implements VertexLog {
  readonly output: Spool;
  readonly #ended = Promise.withResolvers<VertexEnd>();
  end: VertexEnd | undefined;

  constructor(directory: string) {
    this.output = new Spool(directory);
  }

  get ended(): Promise<VertexEnd> {
    return this.#ended.promise;
  }

  finish(end: VertexEnd): void {
    this.end ??= end;
    this.output.end();
    this.#ended.resolve(this.end);
  }
}

/** Lifecycle: `listen` takes events -> `finish`, once nothing more comes -> disposal. */
export class VertexLogs implements AsyncDisposable {
  readonly #entries = new Map<string, Entry>();
  #finished = false;

  /** Output that nobody reads yet goes to files there. */
  constructor(private readonly directory: string) {}

  readonly listen = (event: BuildEvent): void => {
    // A write that fails is told to who reads.
    if (event.kind === "log") void this.#entry(event.id).output.append(event);
    else if (event.kind === "completed") this.#entry(event.id).finish(endOf(event));
  };

  /** By vertexId; one that nothing is known of yet may still come. */
  of(id: string): VertexLog {
    return this.#entry(id);
  }

  finish(): void {
    this.#finished = true;
    for (const entry of this.#entries.values()) entry.finish({ kind: "cancelled", cached: false });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.finish();
    for (const { output } of this.#entries.values()) await output[Symbol.asyncDispose]();
  }

  #entry(id: string): Entry {
    const known = this.#entries.get(id);
    if (known) return known;
    const made = new Entry(this.directory);
    this.#entries.set(id, made);
    if (this.#finished) made.finish({ kind: "cancelled", cached: false });
    return made;
  }
}

function endOf({ cached, error }: Extract<BuildEvent, { readonly kind: "completed" }>): VertexEnd {
  if (error === "") return { kind: "done", cached };
  return { kind: /\bcancell?ed\b/.test(error) ? "cancelled" : "failed", cached };
}
