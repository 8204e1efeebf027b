/** Tells a build's listener of hits and misses, and remembers what each step's key was made of for the next build's explanations. */
import type { BuildCache } from "./cache.ts";
import { differences, type Explanation, stepIdentity } from "./explain.ts";
import type { StepVertex } from "./key.ts";
import type { StepKey } from "./key-finder.ts";

export class StepExplainer {
  constructor(
    private readonly cache: Pick<BuildCache, "parts" | "setParts">,
    private readonly project: string,
    private readonly onExplained: (explanation: Explanation) => void,
  ) {}

  hit(vertex: StepVertex, key: StepKey): void {
    this.#remember(vertex, key);
    this.onExplained({ vertex, cached: true, reasons: [] });
  }

  miss(vertex: StepVertex, key: StepKey): void {
    const step = stepIdentity(this.project, vertex);
    const before = step && this.cache.parts(step);
    const changes = before ? differences(before.parts, key.parts()) : [];
    const reason = before === undefined ? "it was not built before" : "its result is not in the cache any more";
    const reasons = vertex.ignoreCache ? ["the cache is not to be used"] : changes.length > 0 ? changes : [reason];
    this.#remember(vertex, key);
    this.onExplained({ vertex, cached: false, reasons });
  }

  #remember(vertex: StepVertex, { key, parts }: StepKey): void {
    const step = stepIdentity(this.project, vertex);
    if (step) this.cache.setParts(step, key, parts);
  }
}
