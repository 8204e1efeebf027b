/** An error that decides the command's exit code (125: the engine refused a run; 1: the rest). */
export class ExitError extends Error {
  constructor(
    readonly exitCode: number,
    message = "",
  ) {
    super(message);
  }
}
