import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { codeOf, HullError, messageOf } from "../../platform/errors.ts";
import { DETAILS_FACT, STATUS_FACT } from "../../platform/grpc/call-failure.ts";
import { parseDockerfile } from "../dockerfile/parse.ts";
import { StatusSchema } from "../gen/google/rpc/status_pb.ts";
import { buildFailure } from "./build-failure.ts";

const data = Buffer.from("FROM busybox\nRUNN false\n");

function parseError(): unknown {
  try {
    parseDockerfile(data, "Dockerfile");
  } catch (error) {
    return error;
  }
  throw new Error("it was parsed");
}

test("a defect of a Dockerfile is told with its place, under a status that clients do not print", () => {
  const failure = buildFailure(parseError(), { file: "Dockerfile", data });
  assert.ok(failure instanceof HullError);
  assert.equal(failure.facts[STATUS_FACT], 2);
  const status = fromBinary(StatusSchema, Buffer.from(String(failure.facts[DETAILS_FACT]), "base64"));
  assert.equal(status.message, messageOf(failure));
  const [detail] = status.details;
  assert.equal(detail?.typeUrl, "github.com/moby/buildkit/errdefs.Source+json");
  assert.deepEqual(JSON.parse(Buffer.from(detail!.value).toString()), {
    info: { filename: "Dockerfile", data: data.toString("base64"), language: "Dockerfile" },
    ranges: [{ start: { line: 2 }, end: { line: 2 } }],
  });
});

test("a failure without a place has none; one that is given up stays what it is", () => {
  const failure = buildFailure(new HullError("not-found", "no such image"), { file: "Dockerfile", data });
  assert.ok(failure instanceof HullError && !(DETAILS_FACT in failure.facts));
  const cancelled = new HullError("cancelled", "given up");
  assert.equal(buildFailure(cancelled, undefined), cancelled);
  assert.equal(codeOf(cancelled), "cancelled");
});
