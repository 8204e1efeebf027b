/** What a call to a daemon failed with, the same over each transport. */
import { type ErrorCode, grpcStatusOf, HullError } from "../errors.ts";

/** The fact of an error that holds gRPC's details of it: a google.rpc.Status, in base64. */
export const DETAILS_FACT = "grpcDetails";
/** The fact of an error that holds its exact status, where the code's own is not what the protocol has. */
export const STATUS_FACT = "grpcStatus";

const codes = new Map(
  Object.entries(grpcStatusOf)
    .map(([code, status]) => [status, code as ErrorCode] as const)
    .reverse(),
);

/** `named`: our own code that came with the status, if one did. */
export function codeOfAnswer(status: number, named: string | undefined): ErrorCode {
  if (named !== undefined && Object.hasOwn(grpcStatusOf, named)) return named as ErrorCode;
  return codes.get(status) ?? "internal";
}

const CUT_FACT = "cutOff";
const REFUSED = "refused";

/** The connection ended, whatever the other side would have said. */
export const isCutOff = (error: unknown): boolean => error instanceof HullError && CUT_FACT in error.facts;

/** Nobody listened: nothing of the call was taken. */
export const isRefused = (error: unknown): boolean => error instanceof HullError && error.facts[CUT_FACT] === REFUSED;

/** A call that was cut off. A socket that nobody listens on is said as what it means; "connect ECONNREFUSED" stays in it for programs. */
export function cutOff(peer: string, method: string, cause: Error): HullError {
  const refused = /\bconnect (?:ECONNREFUSED|ENOENT)\b/.exec(cause.message)?.[0];
  const message =
    refused === undefined
      ? `${peer} ended the connection in the middle of ${method} (${cause.message}): try again`
      : `${peer} does not answer (${refused}): it has ended, or is being started again; try again, and look at its log ("hull system logs") when this stays`;
  return new HullError("unavailable", message, {
    cause,
    facts: { [CUT_FACT]: refused === undefined ? method : REFUSED },
  });
}
