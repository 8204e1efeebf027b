/** The stages of a Dockerfile and what each of them refers to. Pure: nothing is looked up here. */

import { formatPlatform, parsePlatform } from "../../oci/platform.ts";
import { type ErrorCode, HullError, messageOf } from "../../platform/errors.ts";
import type { Dockerfile, FromInstruction, Instruction, Stage } from "../dockerfile/ast.ts";
import { analyze, expand } from "../dockerfile/expand.ts";
import { parseInstructions } from "../dockerfile/parse.ts";
import { dockerfileError } from "../dockerfile/source-error.ts";
import { didYouMean } from "../dockerfile/suggest.ts";
import type { Globals } from "./stage-state.ts";
import { globalScope } from "./variables.ts";
import type { Dialect, SourceRange } from "./vertex.ts";

export interface StageNode {
  readonly stage: Stage;
  /** "build", "stage-0". */
  readonly name: string;
  readonly origin: Origin;
  /** Of FROM --platform; "" when it is not given. */
  readonly platform: string;
  /** Those of ONBUILD first. */
  readonly instructions: readonly StageInstruction[];
}

/** Where a stage's file system begins; image: as written, after expansion. */
export type Origin =
  | { readonly kind: "stage"; readonly index: number }
  | { readonly kind: "scratch" }
  | { readonly kind: "image"; readonly image: string };

export interface StageInstruction {
  readonly instruction: Instruction;
  /** From an ONBUILD of the image it is built on. */
  readonly trigger: boolean;
}

/** The error at an instruction; one that knows its place stays as it is. */
export function located(error: unknown, location: SourceRange, dockerfile: Dockerfile): HullError {
  const code: ErrorCode = error instanceof HullError ? error.code : "invalid-argument";
  const token = error instanceof HullError ? String(error.facts.token ?? "") : "";
  const place = { range: location, lines: dockerfile.lines, token };
  if (error instanceof HullError && "excerpt" in error) return error;
  return dockerfileError(code, messageOf(error), place, error);
}

export interface StageOptions {
  readonly globals: Globals;
  readonly dialect: Dialect;
}

/** Throws invalid-argument at the FROM that is wrong. */
export function stageNodes(dockerfile: Dockerfile, options: StageOptions): readonly StageNode[] {
  const nodes: StageNode[] = [];
  for (const stage of dockerfile.stages) {
    try {
      nodes.push(stageNode(stage, nodes, { ...options, dockerfile }));
    } catch (error) {
      throw located(error, stage.from.location, dockerfile);
    }
  }
  return nodes;
}

type NodeOptions = StageOptions & { readonly dockerfile: Dockerfile };

const bad = (message: string, token: string): HullError =>
  new HullError("invalid-argument", message, { facts: { token } });

function stageNode(stage: Stage, before: readonly StageNode[], options: NodeOptions): StageNode {
  const { from } = stage;
  const mode = { escape: options.dockerfile.directives.escape };
  if (options.dialect === "classic" && stage.name !== "" && before.some((node) => node.stage.name === stage.name)) {
    throw bad(`${stage.name} stage name already used`, from.as);
  }
  const base = expand(from.image, globalScope(options.globals), mode);
  if (base === "") throw bad(`base name (${from.image}) should not be blank`, from.image);
  const origin = originOf(base, before);
  const own = stage.instructions.map((instruction) => ({ instruction, trigger: false }));
  const triggers =
    origin.kind === "stage" ? triggersOf(onbuildsOf(before[origin.index]!), from, options.dockerfile) : [];
  return {
    stage,
    name: stage.name || `stage-${stage.index}`,
    origin,
    platform: platformOf(from, options),
    instructions: [...triggers, ...own],
  };
}

function originOf(base: string, before: readonly StageNode[]): Origin {
  const stage = before.findLast((node) => node.stage.name !== "" && node.stage.name === base.toLowerCase());
  if (stage !== undefined) return { kind: "stage", index: stage.stage.index };
  return base === "scratch" ? { kind: "scratch" } : { kind: "image", image: base };
}

function platformOf(from: FromInstruction, { globals, dockerfile }: NodeOptions): string {
  if (from.platform === "") return "";
  const mode = { escape: dockerfile.directives.escape };
  const { text, unset } = analyze(from.platform, globalScope(globals), mode);
  const known = [...globals.declared.keys(), ...globals.platform.keys()];
  const near = [...unset].map((name) => didYouMean(name, known)).join("");
  if (text === "") throw bad(`empty platform value from expression ${from.platform}${near}`, from.platform);
  try {
    return formatPlatform(parsePlatform(text));
  } catch (error) {
    throw bad(`failed to parse platform ${from.platform}: ${messageOf(error)}${near}`, from.platform);
  }
}

const onbuildsOf = (node: StageNode): readonly string[] =>
  node.instructions.flatMap(({ instruction }) => (instruction.kind === "onbuild" ? [instruction.expression] : []));

/** The instructions that ONBUILD kept, as if they stood at the FROM. */
export function triggersOf(
  expressions: readonly string[],
  from: FromInstruction,
  dockerfile: Dockerfile,
): readonly StageInstruction[] {
  return expressions.map((expression) => {
    const [instruction, ...more] = parseInstructions(expression, dockerfile.file);
    if (instruction === undefined || more.length > 0) {
      throw bad("onbuild trigger should be a single expression", from.image);
    }
    return { instruction: { ...instruction, location: from.location } as Instruction, trigger: true };
  });
}

/** The stage to build: by name or index, the last one by default. */
export function targetIndex(nodes: readonly StageNode[], target: string): number {
  if (target === "") return nodes.length - 1;
  const named = nodes.findLast((node) => node.stage.name === target.toLowerCase());
  if (named !== undefined) return named.stage.index;
  const byIndex = /^\d+$/.test(target) ? nodes[Number(target)] : undefined;
  if (byIndex !== undefined) return byIndex.stage.index;
  const near = didYouMean(
    target,
    nodes.map((node) => node.name),
  );
  throw bad(`target stage "${target}" could not be found${near}`, target);
}
