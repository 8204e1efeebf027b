/** What a build check is. */
import type { SourceRange } from "../../graph/vertex.ts";
import type { FromInstruction, Instruction } from "../ast.ts";
import type { Facts } from "./facts.ts";

/** Pure: the same facts give the same findings. */
export interface Rule {
  readonly name: string;
  readonly description: string;
  /** "" for the one rule without a page. */
  readonly url: string;
  /** Off unless it is asked for. */
  readonly experimental: boolean;
  check(facts: Facts): readonly Finding[];
}

/** Something that a rule does not like. */
export interface Finding {
  readonly message: string;
  readonly location: SourceRange;
  /** Whose `# check=` comment counts, when it is not the instruction at the location. */
  readonly asked?: FromInstruction | Instruction;
}

/** A finding that is told. */
export interface LintWarning {
  readonly rule: string;
  readonly description: string;
  readonly url: string;
  readonly message: string;
  readonly location: SourceRange;
}

const page = (name: string): string =>
  `https://docs.docker.com/go/dockerfile/rule/${name
    .replace(/([a-z])([A-Z])/g, "$1-$2")
    .replace(/^JSONArgs/, "json-args")
    .toLowerCase()}/`;

/** A rule with a page in Docker's documentation. */
export const rule = (name: string, description: string, check: Rule["check"]): Rule => ({
  name,
  description,
  url: page(name),
  experimental: false,
  check,
});
