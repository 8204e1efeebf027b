/** A stage's instructions one after another. */
import type { Dockerfile } from "../dockerfile/ast.ts";
import { type NamedValue, withLabels } from "./config-instructions.ts";
import { applyInstruction } from "./instructions.ts";
import { Numbering } from "./numbering.ts";
import { byBytes } from "./run-config.ts";
import type { StageStart } from "./stage-start.ts";
import type { StageState, StageWork } from "./stage-state.ts";
import { located, type StageInstruction, type StageNode } from "./stages.ts";
import type { Vertex } from "./vertex.ts";

/** What one step did. */
export interface StageStep {
  readonly text: string;
  readonly vertex: Vertex | undefined;
  readonly entries: number;
  readonly notes: readonly string[];
}

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
  const triggers = node.instructions.filter(({ trigger }) => trigger);
  let state = start.state;
  const step = (text: string, apply: (notes: string[]) => StageState): void => {
    const notes: string[] = [];
    const before = state.vertex;
    state = apply(notes);
    const vertex = state.vertex === before && steps.length > 0 ? undefined : state.vertex;
    steps.push({ text, vertex, entries: state.entries.length, notes });
  };
  step(node.stage.from.original, (notes) => {
    if (triggers.length > 0)
      notes.push(`# Executing ${triggers.length} build trigger${triggers.length > 1 ? "s" : ""}`);
    return triggers.reduce((now, trigger) => applied(trigger, now, { work, notes }), state);
  });
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
  ].map((text) => ({ text, vertex: undefined, entries: 0, notes: [] }));

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
