/** Why a start failed, in the words and codes that Docker's clients look for (moby daemon/start.go is the behaviour followed). Pure. */
import { type ErrorCode, HullError, messageOf } from "../../../platform/errors.ts";

export interface StartFailure {
  /** 126 cannot be executed, 127 not found, 128 anything else. */
  readonly exitCode: number;
  /** Shown as State.Error and answered to the client. */
  readonly message: string;
  /** HTTP status. */
  readonly status: number;
}

const PREFIX =
  "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: ";

const notFound = ["executable file not found", "no such file or directory", "system cannot find the file specified"];
const notExecutable = ["permission denied", "is a directory", "not a directory", "exec format error"];

const refusals: Partial<Record<ErrorCode, number>> = { conflict: 409, "invalid-argument": 400 };

export function startFailure(error: unknown): StartFailure {
  const text = messageOf(error);
  const has = (parts: readonly string[]) => parts.some((part) => text.toLowerCase().includes(part));
  const isProcess = ['exec: "', "unable to start container process", "OCI runtime create failed"].some((mark) =>
    text.includes(mark),
  );
  if (isProcess && has(notFound)) return { exitCode: 127, message: wrapped(text), status: 400 };
  if (isProcess && has(notExecutable)) return { exitCode: 126, message: wrapped(text), status: 400 };
  const user = userReason(text);
  if (user !== undefined) return { exitCode: 126, message: user, status: 400 };
  const message = text.startsWith("failed to create shim task: ")
    ? `failed to create task for container: ${text}`
    : text;
  return { exitCode: 128, message, status: (error instanceof HullError && refusals[error.code]) || 500 };
}

const userFaults =
  /unable to find (?:user|group) .*?: no matching entries in (?:passwd|group) file|uids and gids must be in range 0-2147483647/;

/** What is wrong with the user asked for, alone; undefined when it is something else. */
export const userReason = (text: string): string | undefined => userFaults.exec(text)?.[0];

/** runc's sentence once: whatever stands before the part about the process is replaced by Docker's chain. */
function wrapped(text: string): string {
  return text.startsWith("failed to create task") && !text.includes("operation ")
    ? text
    : `${PREFIX}${processReason(text)}: unknown`;
}

const MARK = "unable to start container process: ";

const errnoTexts: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  ENOENT: "no such file or directory",
  ENOTDIR: "not a directory",
  EPERM: "operation not permitted",
};

/** `exec: "x": executable file not found in $PATH`, without the operation that found it out. */
export function processReason(text: string): string {
  const start = text.indexOf(MARK);
  const reason = start >= 0 ? text.slice(start + MARK.length) : text.slice(Math.max(0, text.indexOf('exec: "')));
  const [, said = reason, errno = ""] = /^(.*?): \w+(?: [^:]*)?: (E[A-Z0-9]+) \(.*$/s.exec(reason) ?? [];
  if (/^(?:exec [0-9a-f]{64}|start init)$/.test(said)) return reason; // no words but the operation's
  const plain = said.replace(/^exec [0-9a-f]{64}: /, "").replace(/: unknown$/, "");
  return plain.endsWith(" failed") && errnoTexts[errno] !== undefined ? `${plain}: ${errnoTexts[errno]}` : plain;
}
