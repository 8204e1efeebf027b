/** Tells a build's listener of hits and misses, and remembers what each step's key was made of for the next build's explanations. */
import { differences, type KeyParts } from "../explain/differences.ts";
import type { BuildCache } from "./cache.ts";
import { type Explanation, factsAbout, stepIdentity } from "./explain.ts";
import type { StepVertex } from "./key.ts";
import type { StepKey } from "./key-finder.ts";

export class StepExplainer {
  constructor(
    private readonly cache: Pick<BuildCache, "parts" | "setParts">,
    private readonly project: string,
    private readonly onExplained: (explanation: Explanation) => void,
  ) {}

  hit(vertex: StepVertex, { key, parts: own }: StepKey): void {
    const parts = partsOf(vertex, own);
    this.#remember(vertex, key, parts);
    this.onExplained({ vertex, key, cached: true, reasons: [], parts });
  }

  miss(vertex: StepVertex, { key, parts: own }: StepKey): void {
    const parts = partsOf(vertex, own);
    const step = stepIdentity(this.project, vertex);
    const before = step && this.cache.parts(step);
    const changes = before ? differences(before.parts, parts()) : [];
    const reason = before === undefined ? "it was not built before" : "its result is not in the cache any more";
    const reasons = vertex.ignoreCache ? ["the cache is not to be used"] : changes.length > 0 ? changes : [reason];
    this.#remember(vertex, key, parts);
    this.onExplained({ vertex, key, cached: false, reasons, parts });
  }

  #remember(vertex: StepVertex, key: string, parts: () => KeyParts): void {
    const step = stepIdentity(this.project, vertex);
    if (step) this.cache.setParts(step, key, parts);
  }
}

/** Made once, when somebody asks. */
function partsOf(vertex: StepVertex, own: () => KeyParts): () => KeyParts {
  let made: KeyParts | undefined;
  return () => {
    made ??= { ...own(), ...factsAbout(vertex) };
    return made;
  };
}
