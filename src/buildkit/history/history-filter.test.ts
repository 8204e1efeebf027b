import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { codeOf } from "../../platform/errors.ts";
import { StatusSchema } from "../gen/google/rpc/status_pb.ts";
import { BuildHistoryRecordSchema } from "../gen/moby/buildkit/v1/control_pb.ts";
import { parseHistoryFilters } from "./history-filter.ts";

const NOW = 1_000_000_000;
const record = (Ref: string, startedMs: number, tookMs: number | undefined, code = 0) =>
  create(BuildHistoryRecordSchema, {
    Ref,
    CreatedAt: timestampFromMs(startedMs),
    ...(tookMs !== undefined && { CompletedAt: timestampFromMs(startedMs + tookMs) }),
    ...(code !== 0 && { error: create(StatusSchema, { code }) }),
  });
const records = [
  record("done", NOW - 7_200_000, 500),
  record("failed", NOW - 60_000, 5_000, 2),
  record("given-up", NOW - 30_000, 1_000, 1),
  record("now", NOW - 10_000, undefined),
];

const cases: readonly (readonly [filters: readonly string[], refs: readonly string[]])[] = [
  [[], ["done", "failed", "given-up", "now"]],
  [["status==error"], ["failed"]],
  [["status==canceled"], ["given-up"]],
  [
    ["status==running", "status==completed"],
    ["done", "now"],
  ],
  [["ref~=i"], ["failed", "given-up"]],
  [["startedAt>=1h"], ["failed", "given-up", "now"]],
  [["startedAt<1h,status==completed"], ["done"]],
  [["duration>=5s"], ["failed", "now"]],
  [[`completedAt<${new Date(NOW - 3_600_000).toISOString()}`], ["done"]],
];
for (const [filters, refs] of cases)
  test(`filters of builds: ${filters.join(" or ") || "none"}`, () => {
    assert.deepEqual(
      records.filter(parseHistoryFilters(filters, NOW)).map(({ Ref }) => Ref),
      refs,
    );
  });

for (const filter of ["status", "colour==red", "duration==1s x", "startedAt>=soon", "ref<a"])
  test(`refused as a filter of builds: ${filter}`, () => {
    assert.throws(
      () => parseHistoryFilters([filter], NOW),
      (error) => codeOf(error) === "invalid-argument",
    );
  });
