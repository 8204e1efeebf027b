/**
 * The one error class of the project: a closed set of codes for programs, a text for people, the cause kept.
 * The codes are containerd's (api errdefs); the tables say what they are in HTTP and gRPC.
 */
export type ErrorCode =
  | "not-found"
  | "already-exists"
  | "invalid-argument"
  | "failed-precondition"
  | "conflict"
  | "unavailable"
  | "unauthenticated"
  | "permission-denied"
  | "resource-exhausted"
  | "aborted"
  | "cancelled"
  | "deadline-exceeded"
  | "unimplemented"
  | "not-modified"
  | "internal";

/** HTTP status of each code, as Docker's API answers it. */
export const httpStatusOf: Readonly<Record<ErrorCode, number>> = {
  "not-found": 404,
  "already-exists": 409,
  "invalid-argument": 400,
  "failed-precondition": 400,
  conflict: 409,
  unavailable: 503,
  unauthenticated: 401,
  "permission-denied": 403,
  "resource-exhausted": 429,
  aborted: 500,
  cancelled: 499,
  "deadline-exceeded": 504,
  unimplemented: 501,
  "not-modified": 304,
  internal: 500,
};

/** gRPC status number of each code (google.rpc.Code). */
export const grpcStatusOf: Readonly<Record<ErrorCode, number>> = {
  "not-found": 5,
  "already-exists": 6,
  "invalid-argument": 3,
  "failed-precondition": 9,
  conflict: 9,
  unavailable: 14,
  unauthenticated: 16,
  "permission-denied": 7,
  "resource-exhausted": 8,
  aborted: 10,
  cancelled: 1,
  "deadline-exceeded": 4,
  unimplemented: 12,
  "not-modified": 9,
  internal: 13,
};

export class HullError extends Error {
  override readonly name = "HullError";
  /** Program-readable facts (an errno name, a path, the operation's cause); never secrets. */
  readonly facts: Readonly<Record<string, string | number>>;

  constructor(
    readonly code: ErrorCode,
    message: string,
    options: { readonly cause?: unknown; readonly facts?: Readonly<Record<string, string | number>> } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.facts = options.facts ?? {};
  }
}

/** The code of any thrown value: a HullError's own, an abort's `cancelled`, a known errno's, else `internal`. */
export function codeOf(error: unknown): ErrorCode {
  if (error instanceof HullError) return error.code;
  if (error instanceof SuppressedError) return codeOf(error.suppressed);
  if (error instanceof Error && error.name === "AbortError") return "cancelled";
  if (error instanceof Error && error.name === "TimeoutError") return "deadline-exceeded";
  const errno = errnoOf(error);
  return (errno && codeOfErrno[errno]) || "internal";
}

const codeOfErrno: Readonly<Record<string, ErrorCode>> = {
  ENOENT: "not-found",
  EEXIST: "already-exists",
  EACCES: "permission-denied",
  EPERM: "permission-denied",
  ECONNREFUSED: "unavailable",
  ECONNRESET: "unavailable",
  EPIPE: "unavailable",
  ENOSPC: "resource-exhausted",
};

function errnoOf(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/** The message of any thrown value; of a SuppressedError the first error's. */
export function messageOf(error: unknown): string {
  if (error instanceof SuppressedError) return messageOf(error.suppressed);
  return error instanceof Error ? error.message : String(error);
}

/** True for a failed system call that nobody has given a meaning to: its code is the call's, not the answer to a request. */
export const isSystemError = (error: unknown): boolean =>
  error instanceof HullError ? error.facts.systemError !== undefined : errnoOf(error) !== undefined;

/** Says what was being attempted, keeps the class and the cause: `during("pull busybox", error)`. */
export function during(attempt: string, error: unknown): HullError {
  const errno = errnoOf(error);
  const facts = error instanceof HullError ? error.facts : errno === undefined ? {} : { systemError: errno };
  return new HullError(codeOf(error), `${attempt}: ${messageOf(error)}`, { cause: error, facts });
}
