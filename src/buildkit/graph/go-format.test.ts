import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { goDuration, goJson, goQuote, goQuoteNumber, goTime } from "./go-format.ts";

describe("values as Go prints them", () => {
  test("durations", () => {
    const cases = {
      0: "0s",
      1: "1ns",
      1500: "1.5µs",
      2000000: "2ms",
      1500000000: "1.5s",
      90e9: "1m30s",
      3723.5e9: "1h2m3.5s",
      3600e9: "1h0m0s",
    };
    for (const [nanoseconds, text] of Object.entries(cases)) assert.equal(goDuration(Number(nanoseconds)), text);
  });

  test("quoted text: what does not print is escaped", () => {
    assert.equal(goQuote('é\t"\\\u0001\u007f\u200b\u{1f600}\u00a0'), '"é\\t\\"\\\\\\x01\\x7f\\u200b😀\\u00a0"');
    assert.deepEqual([0, 3, 65, 39].map(goQuoteNumber), ["'\\x00'", "'\\x03'", "'A'", "'\\''"]);
  });

  test("times have as many digits as they need", () => {
    assert.equal(goTime(1_700_000_000_123_400_000n), "2023-11-14T22:13:20.1234Z");
    assert.equal(goTime(60_000_000_000n), "1970-01-01T00:01:00Z");
    assert.equal(goTime(-1n), "1969-12-31T23:59:59.999999999Z");
  });

  test("JSON escapes what HTML would read", () =>
    assert.equal(goJson({ a: "<&>\u2028" }), '{"a":"\\u003c\\u0026\\u003e\\u2028"}'));
});
