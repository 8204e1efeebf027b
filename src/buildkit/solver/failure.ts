/** How a step's failure is told: one error that names the step, in the words of the dialect that asked for it. */
import { codeOf, HullError, messageOf } from "../../platform/errors.ts";
import type { Dialect, SourceRange, Vertex } from "../graph/vertex.ts";
import type { RunOutcome } from "./ports.ts";

/** A command's end that is a failure; the same for every build that waits for it. */
export class CommandFailure extends Error {
  readonly exitCode: number;

  constructor(
    readonly argv: readonly string[],
    readonly outcome: Pick<RunOutcome, "exitCode" | "outOfMemory"> & { readonly notStarted?: string | undefined },
  ) {
    super(`exit code: ${outcome.exitCode}`);
    this.exitCode = outcome.exitCode;
  }
}

/** The failure of a build: which vertex it was, and where it stands in which file. */
export class StepError extends HullError {
  readonly location: SourceRange | undefined;
  readonly vertex: Vertex;
  /** Of the command that failed; undefined for other failures. */
  readonly exitCode: number | undefined;

  constructor(vertex: Vertex, cause: unknown, dialect: Dialect) {
    const command = cause instanceof CommandFailure ? cause : undefined;
    const facts = cause instanceof HullError ? cause.facts : command ? { exitCode: command.exitCode } : {};
    super(command ? "aborted" : codeOf(cause), command ? commandText(command, dialect) : messageOf(cause), {
      cause,
      facts,
    });
    this.vertex = vertex;
    this.location = vertex.location;
    this.exitCode = command?.exitCode;
  }
}

function commandText({ argv, outcome }: CommandFailure, dialect: Dialect): string {
  const { exitCode, outOfMemory, notStarted } = outcome;
  const command = argv.join(" ");
  if (dialect === "classic" && notStarted !== undefined) return `failed to create task for container: ${notStarted}`;
  if (dialect === "classic") return `The command '${command}' returned a non-zero code: ${exitCode}`;
  const reason = outOfMemory ? "cannot allocate memory" : `exit code: ${exitCode}`;
  return `process "${command}" did not complete successfully: ${reason}`;
}

/** What BuildKit's clients take for a step that was given up. */
export const CANCELLED_TEXT = "context canceled";
