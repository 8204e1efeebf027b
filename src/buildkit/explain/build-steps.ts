/** What is kept of a build's steps: the blob that a record names under STEPS_KEY, as JSON. */
import { differences, type KeyParts } from "./differences.ts";

/** Keys of ours among what a record's exporters answered. */
export const STEPS_KEY = "hull.steps";
export const TRACE_KEY = "hull.trace";
/** Of a build that waits: how many are before it. */
export const WAITING_KEY = "hull.waiting";

export interface BuildStep {
  /** The vertex's, as the status messages have it. */
  readonly digest: string;
  /** "[build 2/5] RUN make" */
  readonly name: string;
  readonly key: string;
  readonly cached: boolean;
  /** Why it was not in the cache. */
  readonly reasons: readonly string[];
  /** Digest of the blob with the key's parts; "": it was not kept. */
  readonly parts: string;
}

export type StepDifference =
  | { readonly kind: "same"; readonly name: string }
  | { readonly kind: "only"; readonly name: string; readonly side: "first" | "second" }
  | { readonly kind: "changed"; readonly name: string; readonly reasons: readonly string[] };

/** A step's place: its stage and number, whatever it does. */
const placeOf = (name: string): string => /^\[(.*?)\s*(\d+)\/\d+\]/.exec(name)?.slice(1).join(" ") ?? name;

export interface Compared {
  readonly first: readonly BuildStep[];
  readonly second: readonly BuildStep[];
  /** The parts of a step's key; undefined: not kept. */
  readonly partsOf: (step: BuildStep) => Promise<KeyParts | undefined>;
}

/** Step by step, in the order of the second build; steps that are only in the first come last. */
export async function compareSteps({ first, second, partsOf }: Compared): Promise<readonly StepDifference[]> {
  const before = new Map(first.map((step) => [placeOf(step.name), step]));
  const found: StepDifference[] = [];
  for (const step of second) {
    const { name } = step;
    const old = before.get(placeOf(name));
    before.delete(placeOf(name));
    if (!old) found.push({ kind: "only", name, side: "second" });
    else if (old.key === step.key) found.push({ kind: "same", name });
    else found.push({ kind: "changed", name, reasons: await reasonsOf(old, step, partsOf) });
  }
  const gone = [...before.values()].map(({ name }): StepDifference => ({ kind: "only", name, side: "first" }));
  return [...found, ...gone];
}

async function reasonsOf(old: BuildStep, now: BuildStep, partsOf: Compared["partsOf"]): Promise<readonly string[]> {
  const [before, after] = await Promise.all([partsOf(old), partsOf(now)]);
  const reasons = before && after ? differences(before, after) : [];
  return reasons.length > 0 ? reasons : ["its key is another one; what it was made of was not kept"];
}
