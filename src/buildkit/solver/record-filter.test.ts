import assert from "node:assert/strict";
import { test } from "node:test";
import { codeOf } from "../../platform/errors.ts";
import type { CacheRecord } from "../api.ts";
import { parseRecordFilters } from "./record-filter.ts";

const record: CacheRecord = {
  ID: "abc",
  Parents: ["p1"],
  Type: "regular",
  Description: "RUN make",
  InUse: false,
  Shared: true,
  Size: 1,
  CreatedAt: new Date(0).toISOString(),
  LastUsedAt: null,
  UsageCount: 0,
};

const cases: readonly (readonly [filters: readonly string[], matches: boolean])[] = [
  [[], true],
  [[""], true],
  [["type==regular"], true],
  [["type=regular,shared"], true],
  [["type!=regular"], false],
  [["type==exec.cachemount", "id~=^ab"], true],
  [["inuse"], false],
];

for (const [filters, matches] of cases)
  test(`${JSON.stringify(filters)} ${matches ? "takes" : "leaves out"} a regular, shared record`, () => {
    assert.equal(parseRecordFilters(filters)(record), matches);
  });

test("a filter of an unknown field is refused", () => {
  assert.throws(
    () => parseRecordFilters(["nonsense==1"]),
    (error) => codeOf(error) === "invalid-argument",
  );
});
