/**
 * A command as data plus a short `run`. Help, completion, the reference page and parsing come from the data.
 */

import type { Flag, FlagValues } from "./flags.ts";
import type { Session } from "./session.ts";

export interface Invocation {
  readonly flags: FlagValues;
  readonly operands: readonly string[];
  readonly session: Session;
}

export interface Command {
  /** Usage after the command's path, as docker shows it: "[OPTIONS] IMAGE [COMMAND] [ARG...]". */
  readonly usage: string;
  readonly flags: readonly Flag[];
  /** How many operands: [least, most]. */
  readonly operands: readonly [number, number];
  /** The first operand ends the flags (`run`, `exec`). */
  readonly stopAtOperand?: boolean;
  /** Returns the exit code. */
  run(invocation: Invocation): Promise<number>;
}

export const ANY_NUMBER = Number.POSITIVE_INFINITY;
