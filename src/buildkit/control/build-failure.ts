/**
 * A build's failure as BuildKit's clients expect it: status Unknown, whose name they do not print, and the place in the Dockerfile as a detail, from
 * which they print the lines. Details are JSON with names of BuildKit's own (solver/errdefs, util/grpcerrors).
 */
import { create, toBinary } from "@bufbuild/protobuf";
import { codeOf, HullError } from "../../platform/errors.ts";
import { DETAILS_FACT, STATUS_FACT } from "../../platform/grpc/call-failure.ts";
import { sourceOf } from "../dockerfile/source-error.ts";
import { messageWithAdvice } from "../full-disk.ts";
import { type Status, StatusSchema } from "../gen/google/rpc/status_pb.ts";
import type { SourceRange } from "../graph/vertex.ts";
import { StepError } from "../solver/failure.ts";
import type { SourceText } from "./status-message.ts";

const UNKNOWN = 2;
const SOURCE_TYPE = "github.com/moby/buildkit/errdefs.Source+json";
/** They mean the same to every client: given up, or not there yet. */
const plain = new Set(["cancelled", "unimplemented", "unavailable"]);

/** `source`: the Dockerfile, once it is there. */
export function buildFailure(error: unknown, source: SourceText | undefined): unknown {
  const code = codeOf(error);
  if (plain.has(code)) return error;
  const range = placeOf(error);
  const message = messageWithAdvice(error);
  const details = source && range ? { [DETAILS_FACT]: detailsOf(message, source, range) } : {};
  const facts = error instanceof HullError ? error.facts : {};
  return new HullError(code, message, { cause: error, facts: { ...facts, [STATUS_FACT]: UNKNOWN, ...details } });
}

/** What a client that drives its build gives back: as it was told, details and all. */
export const returnedFailure = (status: Status): HullError =>
  new HullError("aborted", status.message, {
    facts: { [STATUS_FACT]: status.code, [DETAILS_FACT]: encoded(status) },
  });

const encoded = (status: Status): string => Buffer.from(toBinary(StatusSchema, status)).toString("base64");

const placeOf = (error: unknown): SourceRange | undefined =>
  sourceOf(error)?.range ?? (error instanceof StepError ? error.location : undefined);

/** In base64. */
function detailsOf(message: string, { file, data }: SourceText, range: SourceRange): string {
  const value = {
    info: { filename: file, data: Buffer.from(data).toString("base64"), language: "Dockerfile" },
    ranges: [{ start: { line: range.startLine }, end: { line: range.endLine } }],
  };
  const details = [{ typeUrl: SOURCE_TYPE, value: Buffer.from(JSON.stringify(value)) }];
  return encoded(create(StatusSchema, { code: UNKNOWN, message, details }));
}
