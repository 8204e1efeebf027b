/** What the build checks look at. */
import { HullError } from "../../../platform/errors.ts";
import type { SourceRange } from "../../graph/vertex.ts";
import type { ArgInstruction, Dockerfile, FromInstruction, Instruction, Stage } from "../ast.ts";
import { analyze, type ExpandMode, type Expansion, expand, type Scope } from "../expand.ts";

export interface Facts {
  readonly dockerfile: Dockerfile;
  readonly buildArgs: Readonly<Record<string, string>>;
  /** BUILDPLATFORM, TARGETARCH, TARGETSTAGE, ...: what FROM may use without an ARG. */
  readonly platformArgs: ReadonlyMap<string, string>;
  /** The stages that are built; undefined: all of them. */
  readonly built?: ReadonlySet<number>;
  /** The environment of a stage's base image, "NAME=value", where it is known. */
  readonly imageEnv?: ReadonlyMap<number, readonly string[]>;
  /** The main context's ignore file, where it is known. */
  readonly ignore?: IgnoreFacts;
  /** What only the conversion can see, as it knows the base images: UndefinedVar, InvalidBaseImagePlatform. */
  readonly found: readonly Observation[];
}

export interface IgnoreFacts {
  /** As they stand in the file; "!" makes an exception. */
  readonly patterns: readonly string[];
  /** A path that is clean, or one of its parents. */
  ignores(path: string): boolean;
}

/** A plan's warning. */
export interface Observation {
  readonly rule: string;
  readonly short: string;
  readonly location: SourceRange | undefined;
}

/** Those whose instructions are looked at. */
export const stagesOf = ({ dockerfile, built }: Facts): readonly Stage[] =>
  dockerfile.stages.filter(({ index }) => built === undefined || built.has(index));

/** Every instruction of the file, in its order. */
export const instructionsOf = ({ globalArgs, stages }: Dockerfile): readonly (FromInstruction | Instruction)[] => [
  ...globalArgs,
  ...stages.flatMap(({ from, instructions }) => [from, ...instructions]),
];

export const modeOf = ({ dockerfile }: Facts): ExpandMode => ({ escape: dockerfile.directives.escape });

/** A scope over a map. */
export const scopeOf = (values: ReadonlyMap<string, string>): Scope => ({ find: (name) => values.get(name) });

/** The variables of FROM. Throws as expansion does. */
export function globalValues(facts: Facts, buildArgs: Facts["buildArgs"] = facts.buildArgs): Map<string, string> {
  const values = new Map(facts.platformArgs);
  const given = { ...facts, buildArgs };
  for (const instruction of facts.dockerfile.globalArgs)
    declare(instruction, values, { facts: given, globals: values });
  return values;
}

interface Around {
  readonly facts: Facts;
  /** What an ARG without a default takes its value from. */
  readonly globals: ReadonlyMap<string, string>;
}

function declare(instruction: ArgInstruction, values: Map<string, string>, { facts, globals }: Around): void {
  for (const { name, value } of instruction.args) {
    const given = Object.hasOwn(facts.buildArgs, name) ? facts.buildArgs[name] : undefined;
    const own = value === undefined ? globals.get(name) : expand(value, scopeOf(values), modeOf(facts));
    const chosen = given ?? own;
    if (chosen !== undefined) values.set(name, chosen);
  }
}

/** An instruction and what stands before it in its stage and in the stages below that one. */
export interface Seen {
  readonly instruction: Instruction;
  readonly values: ReadonlyMap<string, string>;
  /** The base image's variables are among the values: what is not there is not set. */
  readonly complete: boolean;
  /** Kinds of instructions before it: a SHELL, a WORKDIR. */
  readonly before: ReadonlySet<Instruction["kind"]>;
}

interface StageEnd {
  readonly complete: boolean;
  readonly values: Map<string, string>;
  readonly before: Set<Instruction["kind"]>;
}

/** The instructions of the stages that are built. What is seen is true until the next one is asked for. */
export function* walk(facts: Facts): Generator<Seen> {
  const globals = known(() => globalValues(facts)) ?? facts.platformArgs;
  const ends = new Map<string, StageEnd>();
  for (const stage of facts.dockerfile.stages) {
    const image = known(() => expand(stage.from.image, scopeOf(globals), modeOf(facts))) ?? "";
    const base = ends.get(image.toLowerCase()) ?? ofImage(image, facts.imageEnv?.get(stage.index));
    const end = { ...base, values: new Map(base.values), before: new Set(base.before) };
    for (const instruction of stage.instructions) {
      if (facts.built === undefined || facts.built.has(stage.index)) yield { instruction, ...end };
      known(() => apply(instruction, end.values, { facts, globals }));
      end.before.add(instruction.kind);
    }
    if (stage.name !== "") ends.set(stage.name, end);
  }
}

function ofImage(image: string, env: readonly string[] | undefined): StageEnd {
  const entries = image === "scratch" ? [] : env;
  const pairs = entries?.map((entry): [string, string] => {
    const [name = "", ...value] = entry.split("=");
    return [name, value.join("=")];
  });
  return { values: new Map(pairs), before: new Set(), complete: pairs !== undefined };
}

function apply(instruction: Instruction, values: Map<string, string>, around: Around): void {
  if (instruction.kind === "arg") declare(instruction, values, around);
  if (instruction.kind !== "env") return;
  const expanded = instruction.pairs.map(({ value }) => expand(value, scopeOf(values), modeOf(around.facts)));
  for (const [index, { name }] of instruction.pairs.entries()) values.set(name, expanded[index]!);
}

/** What cannot be expanded fails the build, with its place; for a check it only means that a value is not known. */
export function known<T>(compute: () => T): T | undefined {
  try {
    return compute();
  } catch (error) {
    if (error instanceof HullError) return undefined;
    throw error;
  }
}

/** Undefined when a variable is used whose value only the base image knows, or when the text is wrong. */
export function expansionOf(facts: Facts, text: string, { values, complete }: Seen): Expansion | undefined {
  const expansion = known(() => analyze(text, scopeOf(values), modeOf(facts)));
  return complete || expansion?.unset.size === 0 ? expansion : undefined;
}
