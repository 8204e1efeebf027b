/** Why an exec failed, in the words and codes of Docker's clients. Pure. */
import { HullError, messageOf } from "../../platform/errors.ts";
import { processReason, userReason } from "../containers/lifecycle/start-failure.ts";

const PREFIX = "OCI runtime exec failed: exec failed: unable to start container process: ";

export interface ExecFailure {
  readonly exitCode: number;
  readonly message: string;
  readonly status: number;
}

export function execFailure(error: unknown): ExecFailure {
  const text = messageOf(error);
  const has = (...parts: string[]) => parts.some((part) => text.toLowerCase().includes(part));
  const isProcess = text.includes('exec: "') || text.includes("unable to start container process");
  const user = userReason(text);
  if (user !== undefined) return { exitCode: 126, message: user, status: 400 };
  if (text.includes("OCI runtime exec failed") && !isProcess)
    return { exitCode: has("not found", "no such file") ? 127 : 126, message: text, status: 400 };
  const message = isProcess ? `${PREFIX}${processReason(text)}: unknown` : text;
  if (isProcess && has("executable file not found", "no such file or directory"))
    return { exitCode: 127, message, status: 400 };
  if (isProcess && has("permission denied", "is a directory", "not a directory", "exec format error"))
    return { exitCode: 126, message, status: 400 };
  return { exitCode: 126, message, status: error instanceof HullError && error.code === "conflict" ? 409 : 500 };
}
