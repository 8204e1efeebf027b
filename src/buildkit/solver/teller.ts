/** What one build is told about its vertices: each begins and ends once, whoever does the work. */
import type { Vertex } from "../graph/vertex.ts";
import { inputsOf, vertexId } from "../graph/vertex-id.ts";
import type { BuildListener } from "../progress.ts";
import { CANCELLED_TEXT } from "./failure.ts";
import type { JobEvent, JobLogEvent } from "./jobs.ts";

type State = "known" | "started" | "completed";

export class Teller {
  readonly #states = new Map<string, State>();

  constructor(
    private readonly listener: BuildListener,
    private readonly nowNs: () => bigint,
  ) {}

  introduce(vertex: Vertex): void {
    const id = vertexId(vertex);
    if (this.#states.has(id)) return;
    this.#states.set(id, "known");
    this.listener({ kind: "vertex", id, name: vertex.name, inputs: inputsOf(vertex).map(vertexId) });
  }

  started(vertex: Vertex, atNs = this.nowNs()): void {
    this.introduce(vertex);
    const id = vertexId(vertex);
    if (this.#states.get(id) !== "known") return;
    this.#states.set(id, "started");
    this.listener({ kind: "started", id, atNs });
  }

  /** Begun, when it had not. */
  completed(vertex: Vertex, { cached = false, error = "" } = {}): void {
    const id = vertexId(vertex);
    if (this.#states.get(id) === "completed") return;
    this.started(vertex);
    this.#states.set(id, "completed");
    this.listener({ kind: "completed", id, atNs: this.nowNs(), cached, error });
  }

  /** What the work on a vertex says. */
  pass(vertex: Vertex, event: JobEvent | JobLogEvent): void {
    const id = vertexId(vertex);
    if (event.kind === "started") this.started(vertex, event.atNs);
    else if (event.kind !== "waiting" || this.#states.get(id) === "known") this.listener({ ...event, id });
  }

  isCompleted(vertex: Vertex): boolean {
    return this.#states.get(vertexId(vertex)) === "completed";
  }

  /** The build ends without them. */
  cancelled(vertices: readonly Vertex[]): void {
    for (const vertex of vertices)
      if (this.#states.get(vertexId(vertex)) === "started") this.completed(vertex, { error: CANCELLED_TEXT });
  }
}
