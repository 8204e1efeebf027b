/** A build's use of the solver: one solve, whose results are known vertex by vertex while it runs. */
import { HullError } from "../../platform/errors.ts";
import type { BuildRequest } from "../build.ts";
import type { VertexResult } from "../graph/solve-results.ts";
import type { Vertex } from "../graph/vertex.ts";
import { vertexId } from "../graph/vertex-id.ts";
import type { SolveResult, Solver } from "../solver/solver.ts";
import type { Solving } from "./image-build.ts";

type Waiter = PromiseWithResolvers<boolean>;

export class SolverRun implements Solving {
  readonly #results = new Map<string, VertexResult>();
  readonly #waiting = new Map<string, Waiter>();
  #over = false;
  #held: SolveResult | undefined;

  constructor(
    private readonly solver: Pick<Solver, "build">,
    private readonly request: BuildRequest,
    private readonly createdNs: (layer: string) => bigint,
  ) {}

  async solve(targets: readonly Vertex[]): Promise<void> {
    const { id, dialect, contexts, downloads, secrets, listener, signal, project, onExplained, spanOf } = this.request;
    try {
      this.#held = await this.solver.build({
        ...{ id, dialect, targets, contexts, downloads, secrets, listener, signal },
        ...(project !== undefined && { project }),
        ...(onExplained && { onExplained }),
        ...(spanOf && { spanOf }),
        onSolved: (vertex, { stack, content }) => {
          const name = vertexId(vertex);
          const createdNs = this.createdNs(`${name} ${stack.chainId}`);
          this.#results.set(name, { stack, createdNs, contentHash: content });
          this.#waiter(name).resolve(true);
        },
      });
    } finally {
      this.#over = true;
      for (const waiter of this.#waiting.values()) waiter.resolve(false);
    }
  }

  result(vertex: Vertex): VertexResult {
    const result = this.#results.get(vertexId(vertex));
    if (!result) throw new HullError("internal", `${vertex.name} is not solved`);
    return result;
  }

  async solved(vertices: readonly Vertex[]): Promise<boolean> {
    const all = await Promise.all(vertices.map((vertex) => this.#waiter(vertexId(vertex)).promise));
    return all.every(Boolean);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#held?.[Symbol.dispose]();
  }

  #waiter(name: string): Waiter {
    const known = this.#waiting.get(name);
    if (known) return known;
    const made = Promise.withResolvers<boolean>();
    if (this.#results.has(name)) made.resolve(true);
    else if (this.#over) made.resolve(false);
    this.#waiting.set(name, made);
    return made;
  }
}
