/**
 * What a build says, as dockerd's classic builder says it: one step after the other, in the order of the Dockerfile. The solver works on several at a
 * time: what a step's command says before its turn waits in its spool.
 */
import { createHash } from "node:crypto";
import type { Step } from "../graph/plan.ts";
import { vertexId } from "../graph/vertex-id.ts";
import { auxLine, short, streamLine } from "./classic-lines.ts";
import type { VertexLog, VertexLogs } from "./vertex-log.ts";

export interface ClassicProgressParts {
  readonly steps: readonly Step[];
  readonly logs: VertexLogs;
  /** Lines about containers' removal are wanted. */
  readonly removes: boolean;
  /** The image that the step's stage comes to with it; undefined when the build fails before that is known. */
  readonly idOf: (step: Step) => Promise<StepImage | undefined>;
  /** Resolves when the client takes more. */
  readonly send: (text: string) => Promise<void>;
}

export interface StepImage {
  readonly id: string;
  /** It was made by an earlier build. */
  readonly known: boolean;
}

/** Resolves when every step is told, or the first one that was not done. */
export async function tellSteps(parts: ClassicProgressParts): Promise<void> {
  const { steps, logs } = parts;
  for (const [i, step] of steps.entries()) {
    const done = await tellStep(parts, step);
    if (!done && !steps.slice(i + 1).some((later) => hasFailed(logs, later))) return;
    const endsStage = step.stage >= 0 && steps[i + 1]?.stage !== step.stage;
    const image = endsStage && done && step.needed ? await parts.idOf(step) : undefined;
    if (image) await parts.send(auxLine(image.id));
  }
}

const logOf = (logs: VertexLogs, { vertex }: Step): VertexLog | undefined => vertex && logs.of(vertexId(vertex));
const hasFailed = (logs: VertexLogs, step: Step): boolean => logOf(logs, step)?.end?.kind === "failed";

/** False: it was not done. */
async function tellStep(parts: ClassicProgressParts, step: Step): Promise<boolean> {
  const say = (text: string) => parts.send(streamLine(text));
  await say(`Step ${step.number}/${step.count} : ${step.text}\n`);
  for (const note of step.notes) await say(`${note}\n`);
  if (step.stage < 0) return true;
  if (!step.needed) {
    await say(" ---> Skipped: the target does not need this stage\n");
    return true;
  }
  for (const trigger of step.triggers)
    if (!(await tellWork(parts, { ...step, ...trigger, triggers: [] }))) return false;
  const image = await tellWork(parts, step);
  if (image) await say(` ---> ${short(image.id)}\n`);
  return image !== undefined;
}

/** Undefined: it was not done. */
async function tellWork(parts: ClassicProgressParts, step: Step): Promise<StepImage | undefined> {
  const isFrom = /^from\b/i.test(step.text);
  const runs = !isFrom && step.vertex?.kind === "run";
  const said = runs ? await tellOutput(parts, step) : false;
  const log = logOf(parts.logs, step);
  const end = await log?.ended;
  if (end && end.kind !== "done") {
    if (runs && !said && end.kind === "failed") await parts.send(streamLine(` ---> Running in ${containerOf(step)}\n`));
    return undefined;
  }
  const image = await parts.idOf(step);
  if (image && !isFrom) await tellEnd(parts, step, { said, cached: !said && (end ? end.cached : image.known) });
  return image;
}

/** False when the command said nothing: it may not have run at all. */
async function tellOutput({ logs, send }: ClassicProgressParts, step: Step): Promise<boolean> {
  const decoders = { 1: new TextDecoder(), 2: new TextDecoder() };
  let said = false;
  for await (const { stream, data } of logOf(logs, step)!.output.follow()) {
    if (!said) await send(streamLine(` ---> Running in ${containerOf(step)}\n`));
    said = true;
    const text = decoders[stream].decode(data, { stream: true });
    // What comes on stderr is red, as dockerd has it.
    if (text !== "") await send(streamLine(stream === 1 ? text : `\u001b[91m${text}\u001b[0m`));
  }
  return said;
}

async function tellEnd(
  { send, removes }: ClassicProgressParts,
  step: Step,
  { said, cached }: { readonly said: boolean; readonly cached: boolean },
): Promise<void> {
  if (cached) return send(streamLine(" ---> Using cache\n"));
  // dockerd copies without a container.
  if (step.vertex && !["run", "directory"].includes(step.vertex.kind)) return;
  if (!said) await send(streamLine(` ---> Running in ${containerOf(step)}\n`));
  if (removes) await send(streamLine(` ---> Removed intermediate container ${containerOf(step)}\n`));
}

/** dockerd runs each step in a container: the step's own name stands for its id. */
const containerOf = (step: Step): string =>
  createHash("sha256")
    .update(`${step.number} ${step.text} ${step.vertex ? vertexId(step.vertex) : ""}`)
    .digest("hex")
    .slice(0, 12);
