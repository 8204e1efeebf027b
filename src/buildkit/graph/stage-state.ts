/** A stage while its instructions are applied one after another: each gives a new state. */

import type { BuildRequest } from "../build.ts";
import type { Dockerfile } from "../dockerfile/ast.ts";
import type { ContextUse } from "./context-use.ts";
import type { Numbering } from "./numbering.ts";
import type { DraftEntry, PlanWarning } from "./plan.ts";
import type { RunConfig } from "./run-config.ts";
import type { SourceRange, Vertex } from "./vertex.ts";

export interface StageState {
  readonly vertex: Vertex;
  readonly config: RunConfig;
  readonly author: string;
  readonly entries: readonly DraftEntry[];
  /** A CMD of this stage: ENTRYPOINT leaves it. */
  readonly cmdSet: boolean;
  /** Arguments in scope, in the order of their declaration, each once. */
  readonly args: readonly Argument[];
  /** BuildKit: "NAME=value" of the configuration and of arguments, the last set last. */
  readonly environment: readonly string[];
  readonly platform: string;
}

/** An ARG of a stage with its own default; undefined without one. */
export interface Argument {
  readonly name: string;
  readonly value: string | undefined;
}

/** What instructions need to know of the stage and the build around them. */
export interface StageWork {
  readonly request: BuildRequest;
  readonly dockerfile: Dockerfile;
  readonly stageIndex: number;
  /** Of the instruction being applied. */
  readonly location: SourceRange;
  /** "build", "stage-0", "" for a Dockerfile of one stage. */
  readonly stageName: string;
  readonly ignoreCache: boolean;
  readonly globals: Globals;
  readonly numbering: Numbering;
  readonly contexts: ContextUse;
  /** The file system that --from names. Throws when it is not there yet. */
  readonly source: (from: string, asker: SourceAsker) => Vertex;
  readonly warn: (warning: PlanWarning) => void;
  readonly note: (line: string) => void;
}

export interface SourceAsker {
  readonly what: "copy" | "mount";
  /** Of a mount. */
  readonly target: string;
}

/** Variables that stand outside of stages. */
export interface Globals {
  /** ARGs before the first FROM that have a value. */
  readonly declared: ReadonlyMap<string, string>;
  /** BUILDPLATFORM, TARGETARCH, TARGETSTAGE, ... */
  readonly platform: ReadonlyMap<string, string>;
}

/** The state with one more entry in its history. */
export function recorded(
  state: StageState,
  entry: Pick<DraftEntry, "command" | "what">,
  after: Vertex = state.vertex,
): StageState {
  const added = { ...entry, before: state.vertex, after, config: state.config, author: state.author };
  return { ...state, vertex: after, entries: [...state.entries, added] };
}

/** The shell of shell forms. */
export const shellOf = (config: RunConfig): readonly string[] =>
  config.shell.length > 0 ? config.shell : ["/bin/sh", "-c"];

/** A change of the configuration alone: "ENV a=b". */
export function recordedChange(state: StageState, work: StageWork, text: string): StageState {
  const classic = work.request.dialect === "classic";
  const command = classic ? [...shellOf(state.config), "#(nop) ", text] : [text];
  return recorded(state, { command, what: "config" });
}
