/**
 * A failed start in the words that Docker's clients and tests look for ("executable file not found in $PATH" makes 127, "permission
 * denied" 126). Where the process itself is at fault the text is runc's; elsewhere it names the kernel operation and its cause.
 */
import { codeOf, HullError, messageOf } from "../../platform/errors.ts";

/** What Go says for an errno: clients look for these words. */
const goTexts: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  ELOOP: "too many levels of symbolic links",
  ENOENT: "no such file or directory",
  ENOTDIR: "not a directory",
  EPERM: "operation not permitted",
};

/** Operations that fail because of what the user asked to run. */
const ofProcess = new Set(["lookPath", "execve", "cwd", "setUser", "setUserByName"]);

export function createFailure(error: unknown): HullError {
  const facts = error instanceof HullError ? error.facts : {};
  const text = processText(messageOf(error), facts);
  const message = `failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: ${text}: unknown`;
  return new HullError(codeOf(error), message, { cause: error, facts });
}

/** Of an exec: `OCI runtime exec failed` in front. */
export function execFailure(error: unknown): HullError {
  const facts = error instanceof HullError ? error.facts : {};
  const text = processText(messageOf(error), facts);
  const message = `OCI runtime exec failed: exec failed: unable to start container process: ${text}: unknown`;
  return new HullError(codeOf(error), message, { cause: error, facts });
}

/** keel's own words about the process, without the operation that follows them. */
function processText(message: string, facts: HullError["facts"]): string {
  const operation = String(facts.operation ?? "");
  if (!ofProcess.has(operation)) return message;
  const end = message.indexOf(`: ${operation} `);
  const own = end <= 0 ? "" : message.slice(0, end).replace(/^exec \S+: (?=exec: )/, "");
  // Without words of its own the operation, its cause and its errno are what there is to say.
  if (own === "" || /^(exec \S+|start \S+)$/.test(own)) return message;
  const reason = goTexts[String(facts.errno)];
  return own.endsWith(" failed") && reason !== undefined ? `${own}: ${reason}` : own;
}
