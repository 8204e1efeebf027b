/** The plan of one platform: stages that the target needs, in the order of the file. */

import { HullError } from "../../platform/errors.ts";
import type { BuildRequest } from "../build.ts";
import type { Dockerfile } from "../dockerfile/ast.ts";
import type { ContextUse } from "./context-use.ts";
import { type Origins, type Outside, unresolved } from "./origins.ts";
import type { OutlinedStages } from "./outline.ts";
import type { CheckedFacts, ImageDraft, PlanWarning, PlatformPlan, Step } from "./plan.ts";
import { argumentNames, type PlannedStage, plainSteps, planStage, stageNumbering } from "./plan-stage.ts";
import { plannedScans } from "./planned-scans.ts";
import { linkOf, linksOf, reachable, refuseCycles } from "./stage-links.ts";
import { baseVertex, platformOfImage, type StageStart, startFromStage, startOutside } from "./stage-start.ts";
import type { Globals, SourceAsker } from "./stage-state.ts";
import { located, type StageNode, stageNodes, targetIndex, triggersOf } from "./stages.ts";
import type { Vertex } from "./vertex.ts";

export interface PlatformPlanning {
  readonly request: BuildRequest;
  readonly dockerfile: Dockerfile;
  readonly globals: Globals;
  /** "linux/amd64" */
  readonly platform: string;
  /** The client asked for it, so that the image says so whatever its base is. */
  readonly platformGiven: boolean;
  /** Several are built: names of vertices say which. */
  readonly showPlatform: boolean;
  readonly origins: Origins;
  readonly contexts: ContextUse;
  readonly epochNs: bigint | undefined;
  readonly warn: (warning: PlanWarning) => void;
}

export interface PlannedPlatform extends PlatformPlan {
  readonly argumentNames: ReadonlySet<string>;
  readonly checked: CheckedFacts;
  readonly outlined: OutlinedStages;
}

export async function planPlatform(planning: PlatformPlanning): Promise<PlannedPlatform> {
  const { request, dockerfile } = planning;
  const { dialect } = request;
  const parsed = stageNodes(dockerfile, { globals: planning.globals, dialect });
  const target = targetIndex(parsed, request.target);
  const nodes = (dialect === "classic" ? parsed.slice(0, target + 1) : parsed).map((node) => standIn(node, planning));
  refuseCycles(nodes, { dockerfile, dialect });
  const isWhole = request.everyStage === true && request.target === "";
  const found = await findOutside(nodes, isWhole ? nodes.keys() : [target], planning);
  const planned = new Map<number, PlannedStage>();
  for (const index of [...found.needed].sort((a, b) => a - b)) {
    planned.set(index, planNeeded(index, { planning, found, planned, target }));
  }
  const { state, start } = planned.get(target)!;
  if (dialect === "classic" && start.base === undefined && state.entries.length === 0) throw nothingMade(dockerfile);
  return {
    platform: planning.platform,
    target: state.vertex,
    image: draftOf(planned.get(target)!, planning),
    stages: found.nodes.map((_, index) => {
      const stage = planned.get(index);
      return stage && draftOf(stage, planning);
    }),
    steps: stepsOf(found.nodes.slice(0, target + 1), planned, dockerfile),
    scans: scansOf(found.nodes, planned, { target, request }),
    argumentNames: argumentNames(found.nodes, dockerfile),
    outlined: { target, nodes: found.nodes, stages: planned, globals: planning.globals },
    checked: {
      platformArgs: planning.globals.platform,
      built: found.needed,
      imageEnv: new Map([...planned].map(([index, { start }]) => [index, start.state.config.env])),
    },
  };
}

function nothingMade(dockerfile: Dockerfile): HullError {
  const error = new HullError("invalid-argument", "No image was generated. Is your Dockerfile empty?");
  return located(error, dockerfile.stages.at(-1)!.from.location, dockerfile);
}

/** A named context takes the place of the stage of its name. */
function standIn(node: StageNode, { origins, platform }: PlatformPlanning): StageNode {
  const { name } = node.stage;
  if (name === "" || !origins.isNamedContext(name, node.platform || platform)) return node;
  return { ...node, instructions: [], origin: { kind: "image", image: name } };
}

interface Found {
  /** With the triggers of their base images. */
  readonly nodes: readonly StageNode[];
  readonly needed: ReadonlySet<number>;
  /** What stages begin with, by index. */
  readonly starts: ReadonlyMap<number, Outside>;
  /** What --from names outside of the Dockerfile, as written. */
  readonly sources: ReadonlyMap<string, Outside>;
}

/** Base images may bring triggers, which may need further stages and images: until nothing new is needed. */
async function findOutside(all: StageNode[], wanted: Iterable<number>, planning: PlatformPlanning): Promise<Found> {
  const targets = [...wanted];
  const { dockerfile, request } = planning;
  const source = { dockerfile, dialect: request.dialect };
  const starts = new Map<number, Outside>();
  const sources = new Map<string, Outside>();
  const nodes = all;
  for (;;) {
    const needed = reachable(targets, nodes, source);
    const newStarts = [...needed].filter((index) => nodes[index]!.origin.kind !== "stage" && !starts.has(index));
    const newSources = [...needed]
      .flatMap((index) => linksOf(index, nodes, source))
      .filter(({ from, link }) => link.kind !== "stage" && !sources.has(from));
    if (newStarts.length + newSources.length === 0) return { nodes, needed, starts, sources };
    await Promise.all([
      ...newStarts.map(async (index) => {
        const outside = await findStart(nodes[index]!, planning);
        starts.set(index, outside);
        nodes[index] = withTriggers(nodes[index]!, outside, dockerfile);
      }),
      ...newSources.map(async ({ from, instruction }) => {
        const outside = await findAt(from, planning.platform, { planning, location: instruction.location });
        sources.set(from, outside);
      }),
    ]);
  }
}

async function findStart(node: StageNode, planning: PlatformPlanning): Promise<Outside> {
  const platform = node.platform || planning.platform;
  if (node.origin.kind !== "image") return { kind: "scratch" };
  return findAt(node.origin.image, platform, { planning, location: node.stage.from.location });
}

async function findAt(
  image: string,
  platform: string,
  at: { readonly planning: PlatformPlanning; readonly location: StageNode["stage"]["from"]["location"] },
): Promise<Outside> {
  try {
    return await at.planning.origins.find(image, platform);
  } catch (error) {
    const { request, dockerfile } = at.planning;
    if (request.dialect === "classic") throw located(error, at.location, dockerfile);
    const names = dockerfile.stages.map(({ name }) => name).filter((name) => name !== "");
    throw located(unresolved(image, error, names), at.location, dockerfile);
  }
}

function withTriggers(node: StageNode, outside: Outside, dockerfile: Dockerfile): StageNode {
  const config =
    outside.kind === "image" ? (outside.image.config.config as { OnBuild?: unknown } | undefined) : undefined;
  const kept = Array.isArray(config?.OnBuild) ? config.OnBuild.filter((text) => typeof text === "string") : [];
  if (kept.length === 0) return node;
  try {
    return { ...node, instructions: [...triggersOf(kept, node.stage.from, dockerfile), ...node.instructions] };
  } catch (error) {
    throw located(error, node.stage.from.location, dockerfile);
  }
}

interface StagePlace {
  readonly planning: PlatformPlanning;
  readonly found: Found;
  readonly planned: ReadonlyMap<number, PlannedStage>;
  readonly target: number;
}

function planNeeded(index: number, place: StagePlace): PlannedStage {
  const { planning, found, target } = place;
  const { request, dockerfile } = planning;
  const node = found.nodes[index]!;
  const single = found.nodes.length === 1;
  const numbering = stageNumbering(node, {
    single,
    platform: planning.showPlatform ? node.platform || planning.platform : "",
  });
  const start = startOf(node, place, (text) => numbering.next(text));
  const filtered = request.noCacheFilter.some(
    (name) => node.stage.name !== "" && name.toLowerCase() === node.stage.name,
  );
  const work = {
    request,
    dockerfile,
    stageIndex: index,
    stageName: single ? "" : node.name,
    ignoreCache: request.noCache || filtered,
    globals: planning.globals,
    numbering,
    contexts: planning.contexts,
    source: sourcesFor(index, place),
    warn: planning.warn,
  };
  const labels = request.dialect === "classic" && index === target ? request.labels : {};
  const stage = planStage({ node, start, work, labels });
  return index === target && request.dialect === "buildkit" ? labelled(stage, request.labels) : stage;
}

/** BuildKit puts --label into the configuration alone. */
function labelled(stage: PlannedStage, labels: Readonly<Record<string, string>>): PlannedStage {
  if (Object.keys(labels).length === 0) return stage;
  const config = { ...stage.state.config, labels: { ...stage.state.config.labels, ...labels } };
  return { ...stage, state: { ...stage.state, config } };
}

function startOf(
  node: StageNode,
  { planning, found, planned }: StagePlace,
  nameOf: (text: string) => string,
): StageStart {
  const { dialect } = planning.request;
  const outside = found.starts.get(node.stage.index);
  if (outside === undefined && node.origin.kind === "stage") {
    const before = planned.get(node.origin.index)!;
    return startFromStage({ state: before.state, base: before.start.base }, dialect);
  }
  const own = planning.platformGiven ? "" : platformOfImage(outside!);
  const platform = node.platform || own || planning.platform;
  warnOfPlatform(node, outside!, planning);
  if (outside!.kind === "files") planning.contexts.note(outside!.vertex, "/");
  return startOutside(outside!, { dialect, platform, location: node.stage.from.location, nameOf });
}

function warnOfPlatform(node: StageNode, outside: Outside, planning: PlatformPlanning): void {
  const expected = node.platform || (planning.platformGiven ? planning.platform : "");
  const actual = platformOfImage(outside);
  if (expected === "" || actual === "" || actual === expected || node.origin.kind !== "image") return;
  const short = `Base image ${node.origin.image} was pulled with platform "${actual}", expected "${expected}" for current build`;
  planning.warn({ rule: "InvalidBaseImagePlatform", short, location: node.stage.from.location });
}

function sourcesFor(
  index: number,
  { planning, found, planned }: StagePlace,
): (from: string, asker: SourceAsker) => Vertex {
  const { dialect } = planning.request;
  const { nodes } = found;
  return (from, asker) => {
    const link = linkOf(from, { nodes, index, dialect });
    if (link.kind !== "stage") return sourceVertex(found.sources.get(from)!, planning);
    const stage = planned.get(link.index);
    if (stage !== undefined && link.index < index) return stage.state.vertex;
    const message =
      asker.what === "copy"
        ? `cannot copy from stage "${from}", it needs to be defined before current stage "${nodes[index]!.name}"`
        : `cannot mount from stage "${from}" to "${asker.target}", stage needs to be defined before current command`;
    throw new HullError("invalid-argument", message, { facts: { token: from } });
  };
}

const sourceVertices = new WeakMap<Outside, Vertex>();

/** One per thing, so that it is solved once. */
function sourceVertex(outside: Outside, { request, platform }: PlatformPlanning): Vertex {
  if (outside.kind === "files") return outside.vertex;
  const known = sourceVertices.get(outside);
  if (known) return known;
  const made = baseVertex(outside, { dialect: request.dialect, platform, location: undefined, nameOf: (text) => text });
  sourceVertices.set(outside, made);
  return made;
}

function scansOf(
  nodes: readonly StageNode[],
  planned: ReadonlyMap<number, PlannedStage>,
  { target, request }: { readonly target: number; readonly request: BuildRequest },
) {
  const stages = [...planned].map(([index, { state }]) => ({ index, name: nodes[index]!.name, state }));
  const others = stages.filter(({ index }) => index !== target);
  return plannedScans(request.buildArgs, stages.find(({ index }) => index === target)!, others);
}

const draftOf = ({ start, state }: PlannedStage, planning: PlatformPlanning): ImageDraft => ({
  dialect: planning.request.dialect,
  platform: planning.platformGiven ? planning.platform : state.platform,
  platformGiven: planning.platformGiven,
  base: start.base,
  config: state.config,
  author: state.author,
  entries: state.entries,
  top: state.vertex,
  epochNs: planning.epochNs,
});

function stepsOf(
  nodes: readonly StageNode[],
  planned: ReadonlyMap<number, PlannedStage>,
  dockerfile: Dockerfile,
): readonly Step[] {
  const texts = dockerfile.globalArgs.map(({ original }) => ({
    text: original,
    vertex: undefined,
    entries: 0,
    notes: [],
    triggers: [],
  }));
  const all = [
    ...texts.map((step) => ({ ...step, stage: -1, needed: true })),
    ...nodes.flatMap((node, index) =>
      (planned.get(index)?.steps ?? plainSteps(node)).map((step) => ({
        ...step,
        stage: index,
        needed: planned.has(index),
      })),
    ),
  ];
  return all.map((step, index) => ({ ...step, number: index + 1, count: all.length }));
}
