/**
 * A parsed Dockerfile. Nothing is expanded yet: words are as written, quotes and escapes included, except where noted; expansion belongs to
 * the stage that knows its variables (`expand`).
 */
import type { SourceRange } from "../graph/vertex.ts";

export interface Dockerfile {
  readonly file: string;
  readonly lines: readonly string[];
  readonly directives: Directives;
  /** ARGs before the first FROM. */
  readonly globalArgs: readonly ArgInstruction[];
  readonly stages: readonly Stage[];
  /** Lint-relevant facts of the lexical layer. */
  readonly emptyContinuations: readonly SourceRange[];
}

export interface Directives {
  /** "docker/dockerfile:1"; "" when there is none. */
  readonly syntax: string;
  readonly escape: "\\" | "`";
  /** "skip=A,B;error=true"; "" when there is none. */
  readonly check: string;
  readonly locations: Readonly<Partial<Record<"syntax" | "escape" | "check", SourceRange>>>;
}

export interface Stage {
  readonly index: number;
  /** Lower case; "" without AS. */
  readonly name: string;
  readonly from: FromInstruction;
  readonly instructions: readonly Instruction[];
}

interface InstructionBase {
  readonly location: SourceRange;
  /** The instruction as written, continuation lines joined, here-documents left out: "RUN make  all". */
  readonly original: string;
  /** The keyword as written ("Run"). */
  readonly keyword: string;
  /** Comment lines directly above, without "#". */
  readonly comments: readonly string[];
}

export interface HereDocument {
  /** "EOF" */
  readonly name: string;
  /** Between the marks; leading tabs are gone after "<<-". */
  readonly data: string;
  /** The mark was not quoted: variables are expanded (where the instruction expands). */
  readonly expand: boolean;
  /** "3<<EOF": 3; 0 when not given. */
  readonly descriptor: number;
  readonly chomp: boolean;
}

export interface FromInstruction extends InstructionBase {
  readonly kind: "from";
  readonly image: string;
  readonly platform: string;
  /** As written, "" without AS. */
  readonly as: string;
  /** The keyword AS as written. */
  readonly asKeyword: string;
}

/** JSON array form, or one string for the shell. */
export type CommandForm =
  | { readonly form: "exec"; readonly argv: readonly string[] }
  | { readonly form: "shell"; readonly text: string };

export interface RunInstruction extends InstructionBase {
  readonly kind: "run";
  readonly command: CommandForm;
  readonly hereDocuments: readonly HereDocument[];
  readonly mounts: readonly RunMountFlag[];
  /** "" when not given. */
  readonly network: string;
  readonly security: string;
  readonly devices: readonly string[];
}

/** `--mount=` as key and value pairs, in order; keys are lower case, a lone key has the value "true". Checked when expanded. */
export interface RunMountFlag {
  readonly text: string;
  readonly fields: readonly (readonly [key: string, value: string])[];
}

export interface CopyInstruction extends InstructionBase {
  readonly kind: "copy" | "add";
  readonly sources: readonly string[];
  readonly destination: string;
  readonly hereDocuments: readonly HereDocument[];
  readonly from: string;
  readonly chown: string;
  readonly chmod: string;
  readonly link: boolean;
  readonly parents: boolean;
  readonly excludes: readonly string[];
  readonly checksum: string;
  readonly keepGitDirectory: boolean | undefined;
  readonly unpack: boolean | undefined;
}

export interface ArgInstruction extends InstructionBase {
  readonly kind: "arg";
  readonly args: readonly { readonly name: string; readonly value: string | undefined }[];
}

export interface EnvInstruction extends InstructionBase {
  readonly kind: "env" | "label";
  readonly pairs: readonly { readonly name: string; readonly value: string; readonly legacy: boolean }[];
}

export interface CommandInstruction extends InstructionBase {
  readonly kind: "cmd" | "entrypoint";
  readonly command: CommandForm;
}

/** One of a single text. */
export interface TextInstruction extends InstructionBase {
  readonly kind: "workdir" | "user" | "stopsignal" | "maintainer";
  readonly text: string;
}

export interface ListInstruction extends InstructionBase {
  readonly kind: "expose" | "volume" | "shell";
  readonly values: readonly string[];
}

export interface HealthcheckInstruction extends InstructionBase {
  readonly kind: "healthcheck";
  readonly command: "none" | CommandForm;
  /** Durations in nanoseconds; undefined: not given. */
  readonly intervalNs: number | undefined;
  readonly timeoutNs: number | undefined;
  readonly startPeriodNs: number | undefined;
  readonly startIntervalNs: number | undefined;
  readonly retries: number | undefined;
}

export interface OnbuildInstruction extends InstructionBase {
  readonly kind: "onbuild";
  /** The instruction as it is stored in the image, here-documents included. */
  readonly expression: string;
}

export type Instruction =
  | RunInstruction
  | CopyInstruction
  | ArgInstruction
  | EnvInstruction
  | CommandInstruction
  | TextInstruction
  | ListInstruction
  | HealthcheckInstruction
  | OnbuildInstruction;

/*
 * The functions of this folder:
 *   parse.ts         parseDockerfile(data, file): Dockerfile; parseInstructions(text, file): Instruction[] (ONBUILD triggers)
 *   expand.ts        expand(text, scope, mode): string; expandWords(...): string[]; analyze(...): text, words, names used and unset
 *   source-error.ts  SourceError (a HullError with range, column, excerpt); dockerfileError(...); sourceOf(error)
 *   suggest.ts       didYouMean(text, options): " (did you mean X?)" or ""
 *   syntax.ts        requireBuiltInSyntax(dockerfile, buildArgs): refuses `# syntax=` of another language
 *   lint/lint.ts     lint(facts): the build checks; requireClean(warnings, options)
 *   lint/report.ts   warningEvent(warning); reportOf(checked): the answer to `--call=check`
 */
