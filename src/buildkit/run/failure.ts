/** A command that could not be started: the user's matter where its program is at fault, ours otherwise. In the words of runc. */
import { codeOf, HullError, messageOf } from "../../platform/errors.ts";

/** What the command would have left: its exit code, and what it would have said on stderr. */
export interface StillbornCommand {
  readonly exitCode: number;
  readonly message: string;
}

const NOT_FOUND = 127;
const NOT_EXECUTABLE = 126;
const WRONG_FORMAT = 255;

/** Operations whose failure means the program; undefined: another failure. */
export function stillborn(error: unknown, program: string): StillbornCommand | undefined {
  const { operation, errno } = error instanceof HullError ? error.facts : {};
  if (operation !== "lookPath" && operation !== "execve") return undefined;
  if (errno === "ENOEXEC") return { exitCode: WRONG_FORMAT, message: `exec ${program}: exec format error\n` };
  const exitCode = errno === "ENOENT" || errno === "ENOTDIR" ? NOT_FOUND : NOT_EXECUTABLE;
  const text = `runc run failed: unable to start container process: error during container init: ${ownWords(error)}`;
  return { exitCode, message: `${text}\n` };
}

/** keel's sentence about the process without the operation that follows it. */
function ownWords(error: unknown): string {
  const message = messageOf(error);
  const { operation = "" } = error instanceof HullError ? error.facts : {};
  const end = message.indexOf(`: ${operation} `);
  return end > 0 ? message.slice(0, end) : message;
}

const ofTheUser = new Set(["cwd", "setUserByName"]);

/** Everything else that can go wrong before the command runs. */
export function startFailure(error: unknown): HullError {
  const facts = error instanceof HullError ? error.facts : {};
  const text = ofTheUser.has(String(facts.operation)) ? ownWords(error) : messageOf(error);
  return new HullError(codeOf(error), `unable to start container process: ${text}`, { cause: error, facts });
}
