/** Why a step was not in the cache: what of its key is other than the last time this step was built. */
import { about, type KeyParts } from "../explain/differences.ts";
import type { Vertex } from "../graph/vertex.ts";
import { hashOf, type StepVertex } from "./key.ts";

export interface Explanation {
  readonly vertex: StepVertex;
  readonly key: string;
  readonly cached: boolean;
  /** "file src/main.c: its contents have changed"; of a miss at least one. */
  readonly reasons: readonly string[];
  /** What the key was made of, with what people know it by. Takes a while for many files. */
  readonly parts: () => KeyParts;
}

/**
 * The same step in two builds of a project, also when its text has changed: file, stage and number of the step, as its name says them
 * ("[build 2/5] RUN make"). Undefined for vertices that are no numbered steps.
 */
export function stepIdentity(project: string, { name, location, kind, platform }: Vertex): string | undefined {
  const numbered = /^\[((?:\S+ )*?)\s*(\d+)\/\d+\]/.exec(name);
  if (!numbered) return undefined;
  return hashOf(project, location?.file ?? "", platform, numbered[1]!, numbered[2]!, kind);
}

/** The name without its number: "RUN make". */
const textOf = ({ name }: Vertex): string => name.replace(/^\[[^\]]*\] /, "");

/** What stands beside the parts of a key: names for what is a hash there. */
export function factsAbout(vertex: StepVertex): KeyParts {
  const { base } = vertex;
  return {
    [about.text]: textOf(vertex),
    ...(base.kind === "image" ? imageFact(about.image, base) : { [about.after]: textOf(base) }),
    ...(vertex.kind === "copy" && vertex.from.kind === "image" && imageFact(about.source, vertex.from)),
  };
}

const imageFact = (name: string, { reference, digest }: Extract<Vertex, { readonly kind: "image" }>): KeyParts => ({
  [name]: `${reference.replace(/@.*/, "")} ${digest}`,
});
