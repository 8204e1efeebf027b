/** A command that could not be started: the user's matter where its program is at fault, ours otherwise. In the words of runc. */
import { codeOf, HullError, messageOf } from "../../platform/errors.ts";

export interface StillbornCommand {
  /** A shell's for such a program. */
  readonly exitCode: number;
  /** `exec: "/nope": stat /nope: no such file or directory` */
  readonly reason: string;
  /** What BuildKit's log has of it. */
  readonly message: string;
}

const NOT_FOUND = 127;
const NOT_EXECUTABLE = 126;
const WRONG_FORMAT = 255;

/** Operations whose failure means the program; undefined: another failure. */
export function stillborn(error: unknown, program: string): StillbornCommand | undefined {
  const { operation, errno } = error instanceof HullError ? error.facts : {};
  if (operation !== "lookPath" && operation !== "execve") return undefined;
  if (errno === "ENOEXEC") {
    const reason = `exec ${program}: exec format error`;
    return { exitCode: WRONG_FORMAT, reason, message: `${reason}\n` };
  }
  const exitCode = errno === "ENOENT" || errno === "ENOTDIR" ? NOT_FOUND : NOT_EXECUTABLE;
  const reason = ownWords(error);
  const before = "runc run failed: unable to start container process: error during container init";
  return { exitCode, reason, message: `${before}: ${reason}\n` };
}

/** keel's sentence about the process without the operation that follows it. */
function ownWords(error: unknown): string {
  const message = messageOf(error);
  const { operation = "" } = error instanceof HullError ? error.facts : {};
  const end = message.indexOf(`: ${operation} `);
  return end > 0 ? message.slice(0, end) : message;
}

/** Everything else that can go wrong before the command runs. */
export function startFailure(error: unknown): HullError {
  const facts = error instanceof HullError ? error.facts : {};
  const words = (text: string): HullError => new HullError(codeOf(error), text, { cause: error, facts });
  if (facts.operation === "setUserByName") return words(ownWords(error));
  const text = facts.operation === "cwd" ? ownWords(error) : messageOf(error);
  return words(`unable to start container process: ${text}`);
}
