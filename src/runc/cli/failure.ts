/** Failures of keel in runc's words, which its callers look for. Pure. */
import { codeOf, HullError, messageOf } from "../../platform/errors.ts";

/** A program that is not there or not executable is the user's matter: only keel's own sentence about it is shown. */
const ofTheUser = new Set(["lookPath", "execve", "cwd", "setUserByName"]);

export function processFailure(error: unknown): HullError {
  const facts = error instanceof HullError ? error.facts : {};
  const operation = String(facts.operation ?? "");
  const message = messageOf(error);
  const end = message.indexOf(`: ${operation} `);
  const short = ofTheUser.has(operation) && end > 0 ? message.slice(0, end) : message;
  return new HullError(codeOf(error), `unable to start container process: ${short}`, { cause: error, facts });
}
