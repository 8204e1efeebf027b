/** A stage's instructions one after another. */
import type { Dockerfile } from "../dockerfile/ast.ts";
import { type NamedValue, withLabels } from "./config-instructions.ts";
import { applyInstruction } from "./instructions.ts";
import { Numbering } from "./numbering.ts";
import type { Step, Trigger } from "./plan.ts";
import { byBytes } from "./run-config.ts";
import type { StageStart } from "./stage-start.ts";
import type { StageState, StageWork } from "./stage-state.ts";
import { located, type StageInstruction, type StageNode } from "./stages.ts";

/** What one step did. */
export type StageStep = Pick<Step, "text" | "vertex" | "entries" | "notes" | "triggers">;

export interface PlannedStage {
  readonly start: StageStart;
  /** After its last instruction. */
  readonly state: StageState;
  /** The FROM first. */
  readonly steps: readonly StageStep[];
}

/** As BuildKit counts: what makes files. */
export function stageNumbering(
  node: StageNode,
  options: { readonly single: boolean; readonly platform: string },
): Numbering {
  const counted = new Set<string>(["add", "copy", "run", "workdir"]);
  const made = node.instructions.filter(({ instruction, trigger }) => trigger || counted.has(instruction.kind)).length;
  const total = made + (node.origin.kind === "image" ? 1 : 0);
  return new Numbering({ platform: options.platform, stage: options.single ? "" : node.name, total });
}

export interface StagePlanning {
  readonly node: StageNode;
  readonly start: StageStart;
  readonly work: Omit<StageWork, "location" | "note">;
  /** --label of the build, for the stage that is its target. */
  readonly labels: Readonly<Record<string, string>>;
}

export function planStage({ node, start, work, labels }: StagePlanning): PlannedStage {
  const steps: StageStep[] = [];
  let state = start.state;
  const made = (text: string, apply: () => StageState): Trigger => {
    const before = state.vertex;
    state = apply();
    return { text, vertex: state.vertex === before ? undefined : state.vertex, entries: state.entries.length };
  };
  const step = (text: string, apply: (notes: string[]) => StageState): void => {
    const notes: string[] = [];
    steps.push({ ...made(text, () => apply(notes)), notes, triggers: [] });
  };
  steps.push(
    firstStep(
      node,
      (trigger, notes) => made(trigger.instruction.original, () => applied(trigger, state, { work, notes })),
      () => state,
    ),
  );
  for (const own of node.instructions) {
    if (!own.trigger) step(own.instruction.original, (notes) => applied(own, state, { work, notes }));
  }
  for (const label of sortedLabels(labels)) {
    const location = node.stage.from.location;
    const text = `LABEL ${label.name}=${label.value}`;
    step(text, (notes) => withLabels([label], state, { ...work, location, note: (line) => notes.push(line) }));
  }
  return { start, state, steps };
}

/** FROM, with what its image left to be done. */
function firstStep(
  { stage, instructions }: StageNode,
  apply: (trigger: StageInstruction, notes: string[]) => Trigger,
  state: () => StageState,
): StageStep {
  const kept = instructions.filter(({ trigger }) => trigger);
  const notes = kept.length > 0 ? [`# Executing ${kept.length} build trigger${kept.length > 1 ? "s" : ""}`] : [];
  const triggers = kept.map((trigger) => apply(trigger, notes));
  const { vertex, entries } = state();
  return { text: stage.from.original, vertex, entries: entries.length, notes, triggers };
}

function applied(
  { instruction, trigger }: StageInstruction,
  state: StageState,
  { work, notes }: { readonly work: StagePlanning["work"]; readonly notes: string[] },
): StageState {
  const { location } = instruction;
  const shown = trigger ? { ...instruction, original: `ONBUILD ${instruction.original}` } : instruction;
  try {
    return applyInstruction(shown, state, { ...work, location, note: (line) => notes.push(line) });
  } catch (error) {
    throw located(error, location, work.dockerfile);
  }
}

const sortedLabels = (labels: Readonly<Record<string, string>>): readonly NamedValue[] =>
  Object.entries(labels)
    .map(([name, value]) => ({ name, value }))
    .sort((a, b) => byBytes(a.name, b.name));

/** Steps of a stage that is not built. */
export const plainSteps = (node: StageNode): readonly StageStep[] =>
  [
    node.stage.from.original,
    ...node.instructions.filter(({ trigger }) => !trigger).map((own) => own.instruction.original),
  ].map((text) => ({ text, vertex: undefined, entries: 0, notes: [], triggers: [] }));

/** Names of all ARGs up to a stage. */
export const argumentNames = (nodes: readonly StageNode[], { globalArgs }: Dockerfile): ReadonlySet<string> =>
  new Set([
    ...globalArgs.flatMap(({ args }) => args.map(({ name }) => name)),
    ...nodes.flatMap((node) =>
      node.instructions.flatMap(({ instruction }) =>
        instruction.kind === "arg" ? instruction.args.map(({ name }) => name) : [],
      ),
    ),
  ]);
