import assert from "node:assert/strict";
import { test } from "node:test";
import { buildFlags } from "../build-options.ts";
import { parseFlags } from "../flags.ts";
import { type Call, parseCall } from "./call.ts";

const parse = (...args: string[]): Call | undefined =>
  parseCall(parseFlags([...args, "."], buildFlags, { stopAtOperand: false }).flags);

const cases: readonly (readonly [args: readonly string[], call: Call | undefined])[] = [
  [[], undefined],
  [["--call=build"], undefined],
  [["--check"], { name: "lint", format: "", ignoresStatus: false }],
  [["--call", "check,format=json"], { name: "lint", format: "json", ignoresStatus: false }],
  [["--call=outline,ignorestatus=true"], { name: "outline", format: "", ignoresStatus: true }],
  [["--call=subrequests.describe"], { name: "subrequests.describe", format: "", ignoresStatus: false }],
];
for (const [args, call] of cases)
  test(`call: ${args.join(" ") || "nothing"}`, () => {
    assert.deepEqual(parse(...args), call);
  });

test("what is no call is refused in buildx's words", () => {
  assert.throws(() => parse("--call=check,outline"), { message: "invalid print value: check,outline" });
  assert.throws(() => parse("--call=check,colour=red"), { message: "invalid print field: colour=red" });
});
