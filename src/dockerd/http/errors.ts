/** How errors look on the wire: Docker's `{"message": …}`; plain text below API 1.24. */
import { codeOf, HullError, httpStatusOf, isSystemError, messageOf } from "../../platform/errors.ts";
import { isNoSpace } from "../../platform/reserve.ts";
import type { ApiResponse } from "./response.ts";
import { compareVersions } from "./version.ts";

/** A HullError may carry its exact status where Docker's differs from the code's usual one. */
export function statusOf(error: unknown): number {
  if (error instanceof HullError && typeof error.facts.httpStatus === "number") return error.facts.httpStatus;
  // A file that the engine misses is not what the client asked for: 404 would tell it that the image, say, is missing.
  if (isSystemError(error) || isNoSpace(error)) return 500;
  return httpStatusOf[codeOf(error)];
}

/** Answers a request with an error, unless an answer has already begun (then the connection is cut so that the client notices). */
export function answerError(response: ApiResponse, error: unknown, version: string | undefined): void {
  if (response.begun) {
    response.abort();
    return;
  }
  const status = statusOf(error);
  if (status === 304) response.empty(304);
  else if (version !== undefined && compareVersions(version, "1.24") < 0)
    response.text(status, `${messageOf(error)}\n`);
  else response.json(status, { message: messageOf(error) });
}
