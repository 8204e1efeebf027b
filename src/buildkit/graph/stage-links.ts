/** What --from names, and which stages a stage needs. */

import { HullError } from "../../platform/errors.ts";
import type { Dockerfile, Instruction } from "../dockerfile/ast.ts";
import { expand } from "../dockerfile/expand.ts";
import { located, type StageNode } from "./stages.ts";
import type { Dialect } from "./vertex.ts";

export type Link =
  | { readonly kind: "stage"; readonly index: number }
  | { readonly kind: "scratch" }
  | { readonly kind: "image"; readonly image: string };

export interface LinkOptions {
  readonly nodes: readonly StageNode[];
  /** Of the stage that asks. */
  readonly index: number;
  readonly dialect: Dialect;
}

const bad = (message: string, token: string): HullError =>
  new HullError("invalid-argument", message, { facts: { token } });

/** Throws invalid-argument in the words of the builder of that dialect. */
export function linkOf(from: string, { nodes, index, dialect }: LinkOptions): Link {
  if (expand(from, { find: () => undefined }, { escape: "\\" }) !== from) {
    throw bad(
      "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround",
      from,
    );
  }
  const seen = dialect === "classic" ? nodes.slice(0, index) : nodes;
  const named = seen.findLast((node) => node.stage.name !== "" && node.stage.name === from.toLowerCase());
  if (named !== undefined) return { kind: "stage", index: named.stage.index };
  if (/^\d+$/.test(from)) return numbered(Number(from), from, { nodes, index, dialect });
  return from === "scratch" ? { kind: "scratch" } : { kind: "image", image: from };
}

function numbered(number: number, from: string, { nodes, index, dialect }: LinkOptions): Link {
  if (dialect === "classic" && number >= index) {
    const why = number === index ? "refers to current build stage" : "index out of bounds";
    throw bad(`invalid from flag value ${from}: ${why}`, from);
  }
  if (number >= nodes.length) throw bad(`invalid stage index ${from}`, from);
  return { kind: "stage", index: number };
}

/** The --from values of an instruction. */
export function fromsOf(instruction: Instruction): readonly string[] {
  if (instruction.kind === "copy" || instruction.kind === "add")
    return instruction.from === "" ? [] : [instruction.from];
  if (instruction.kind !== "run") return [];
  return instruction.mounts.flatMap(({ fields }) => fields.filter(([key]) => key === "from").map(([, value]) => value));
}

export interface StageLink {
  readonly from: string;
  readonly link: Link;
  readonly instruction: Instruction;
}

/** Everything a stage's instructions refer to. */
export function linksOf(index: number, nodes: readonly StageNode[], source: LinkSource): readonly StageLink[] {
  const { dockerfile, dialect } = source;
  return nodes[index]!.instructions.flatMap(({ instruction }) => {
    try {
      return fromsOf(instruction).map((from) => ({ from, link: linkOf(from, { nodes, index, dialect }), instruction }));
    } catch (error) {
      throw located(error, instruction.location, dockerfile);
    }
  });
}

export interface LinkSource {
  readonly dockerfile: Dockerfile;
  readonly dialect: Dialect;
}

/** The stages that targets need, themselves included. */
export function reachable(
  targets: Iterable<number>,
  nodes: readonly StageNode[],
  source: LinkSource,
): ReadonlySet<number> {
  const found = new Set(targets);
  // A set grows while it is walked.
  for (const index of found) {
    const { origin } = nodes[index]!;
    if (origin.kind === "stage") found.add(origin.index);
    for (const { link } of linksOf(index, nodes, source)) if (link.kind === "stage") found.add(link.index);
  }
  return found;
}

/** Throws when stages copy from one another in a circle. */
export function refuseCycles(nodes: readonly StageNode[], source: LinkSource): void {
  const done = new Set<number>();
  const path = new Set<number>();
  const visit = (index: number, start: StageNode): void => {
    if (done.has(index)) return;
    done.add(index);
    path.add(index);
    for (const { link, instruction } of linksOf(index, nodes, source)) {
      if (link.kind !== "stage") continue;
      if (path.has(link.index)) {
        const error = new HullError("invalid-argument", `circular dependency detected on stage: ${start.name}`);
        throw located(error, instruction.location, source.dockerfile);
      }
      visit(link.index, start);
    }
    path.delete(index);
  };
  for (const node of nodes) visit(node.stage.index, node);
}
