/** What a target takes from who builds it: arguments with their values, secrets, agents. As BuildKit's `frontend.outline` has it. */
import type { BuildRequest } from "../build.ts";
import type { ArgInstruction, Dockerfile } from "../dockerfile/ast.ts";
import { analyze } from "../dockerfile/expand.ts";
import type { PlannedStage } from "./plan-stage.ts";
import { linksOf } from "./stage-links.ts";
import type { Globals } from "./stage-state.ts";
import type { StageNode } from "./stages.ts";
import { globalScope } from "./variables.ts";
import type { SourceRange } from "./vertex.ts";

export interface Outline {
  /** Of the target; "" without AS. */
  readonly name: string;
  readonly description: string;
  readonly args: readonly OutlineArgument[];
  readonly secrets: readonly OutlineNeed[];
  readonly agents: readonly OutlineNeed[];
}

export interface OutlineArgument {
  readonly name: string;
  readonly description: string;
  /** "": none. */
  readonly value: string;
  readonly location: SourceRange;
}

export interface OutlineNeed {
  readonly id: string;
  readonly required: boolean;
  readonly location: SourceRange | undefined;
}

/** The stages of a plan. */
export interface OutlinedStages {
  readonly target: number;
  readonly nodes: readonly StageNode[];
  readonly stages: ReadonlyMap<number, PlannedStage>;
  readonly globals: Globals;
}

export type Outlined = OutlinedStages & { readonly request: BuildRequest; readonly dockerfile: Dockerfile };

/** A comment directly above that begins with the name it is about. */
export function commentOn(name: string, comments: readonly string[]): string {
  if (name === "") return "";
  return comments.find((line) => line.startsWith(`${name} `))?.slice(name.length + 1) ?? "";
}

export function outlineOf(outlined: Outlined): Outline {
  const { dockerfile, target } = outlined;
  const { name, from } = dockerfile.stages[target]!;
  const order = stagesOf(outlined);
  return {
    name,
    description: commentOn(name, from.comments),
    args: byLine(
      firstOf(
        order.flatMap((index) => argumentsOf(index, outlined)),
        ({ name }) => name,
      ),
    ),
    secrets: byLine(firstOf(needs(outlined, order, "secret"), ({ id }) => id)),
    agents: byLine(firstOf(needs(outlined, order, "ssh"), ({ id }) => id)),
  };
}

/** The target, what it is built on, what it copies from. */
function stagesOf({ target, nodes, request, dockerfile }: Outlined): readonly number[] {
  const order = new Set([target]);
  for (const index of order) {
    const { origin } = nodes[index]!;
    if (origin.kind === "stage") order.add(origin.index);
    for (const { link } of linksOf(index, nodes, { dockerfile, dialect: request.dialect }))
      if (link.kind === "stage") order.add(link.index);
  }
  return [...order];
}

function firstOf<T>(all: readonly T[], nameOf: (one: T) => string): readonly T[] {
  const first = new Map<string, T>();
  for (const one of all) if (!first.has(nameOf(one))) first.set(nameOf(one), one);
  return [...first.values()];
}

const byLine = <T extends { readonly location: SourceRange | undefined }>(all: readonly T[]): readonly T[] =>
  [...all].sort((a, b) => (a.location?.startLine ?? 0) - (b.location?.startLine ?? 0));

function needs({ stages }: Outlined, order: readonly number[], kind: "secret" | "ssh"): readonly OutlineNeed[] {
  return order.flatMap((index) => {
    const ran = stages.get(index)?.state.entries.flatMap(({ after }) => (after.kind === "run" ? [after] : [])) ?? [];
    return ran.flatMap(({ mounts, location }) =>
      mounts.flatMap((mount) => (mount.kind === kind ? [{ id: mount.id, required: mount.required, location }] : [])),
    );
  });
}

interface Declared {
  readonly argument: OutlineArgument;
  /** Global arguments that its default is made of. */
  readonly uses: ReadonlySet<string>;
}

/** Those that the stage declares, and the global ones that its FROM uses, with what they are made of. */
function argumentsOf(index: number, outlined: Outlined): readonly OutlineArgument[] {
  const globals = globalArguments(outlined);
  const own = ownArguments(index, outlined, globals);
  const used = new Set([...own.keys(), ...usedInFrom(index, outlined)]);
  for (const name of used) for (const other of globals.get(name)?.uses ?? []) used.add(other);
  return [...used].flatMap((name) => own.get(name) ?? globals.get(name)?.argument ?? []);
}

function usedInFrom(index: number, outlined: Outlined): ReadonlySet<string> {
  const { from } = outlined.nodes[index]!.stage;
  return new Set([...namesIn(from.image, outlined), ...namesIn(from.platform, outlined)]);
}

/** Those that are set. */
const namesIn = (text: string, { dockerfile, globals }: Outlined): ReadonlySet<string> =>
  analyze(text, globalScope(globals), { escape: dockerfile.directives.escape }).used;

function globalArguments(outlined: Outlined): ReadonlyMap<string, Declared> {
  const { request, dockerfile, globals } = outlined;
  const declared = new Map<string, Declared>();
  for (const instruction of dockerfile.globalArgs)
    for (const { name, value } of instruction.args) {
      const isGiven = Object.hasOwn(request.buildArgs, name);
      const uses = isGiven || value === undefined ? new Set<string>() : namesIn(value, outlined);
      const argument = argumentIn(instruction, name, globals.declared.get(name) ?? "");
      declared.set(name, {
        argument,
        uses: new Set([...uses, ...(uses.has(name) ? (declared.get(name)?.uses ?? []) : [])]),
      });
    }
  return declared;
}

const argumentIn = (instruction: ArgInstruction, name: string, value: string): OutlineArgument => ({
  name,
  description: commentOn(name, instruction.comments),
  value,
  location: instruction.location,
});

/** One without a default of its own is the global one. */
function ownArguments(
  index: number,
  { nodes, stages, request }: Outlined,
  globals: ReadonlyMap<string, Declared>,
): ReadonlyMap<string, OutlineArgument> {
  const values = new Map(stages.get(index)?.state.args.map(({ name, value }) => [name, value]));
  const own = new Map<string, OutlineArgument>();
  for (const { instruction } of nodes[index]!.instructions) {
    if (instruction.kind !== "arg") continue;
    for (const { name, value } of instruction.args) {
      const inherited = value === undefined && !Object.hasOwn(request.buildArgs, name) && globals.get(name)?.argument;
      own.set(name, inherited || argumentIn(instruction, name, values.get(name) ?? ""));
    }
  }
  return own;
}
