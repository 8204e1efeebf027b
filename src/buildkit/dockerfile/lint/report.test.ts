import assert from "node:assert/strict";
import { test } from "node:test";
import { parseDockerfile } from "../parse.ts";
import { sourceOf } from "../source-error.ts";
import { lint } from "./lint.ts";
import { type CheckReport, reportOf, warningEvent } from "./report.ts";

function check(text: string): CheckReport {
  const file = "Dockerfile";
  const data = Buffer.from(text);
  try {
    const dockerfile = parseDockerfile(data, file);
    const warnings = lint({ dockerfile, buildArgs: {}, platformArgs: new Map(), found: [] });
    return reportOf({ file, data, warnings, error: undefined });
  } catch (error) {
    return reportOf({ file, data, warnings: [], error: sourceOf(error) });
  }
}

test("the text shows each warning with its page and its lines", () => {
  const report = check("FROM scratch\nENV a b\\\n  c\n");
  assert.equal(
    report["result.txt"],
    [
      "",
      "WARNING: LegacyKeyValueFormat - https://docs.docker.com/go/dockerfile/rule/legacy-key-value-format/",
      '"ENV key=value" should be used instead of legacy "ENV key value" format',
      "Dockerfile:2",
      "--------------------",
      "   1 |     FROM scratch",
      "   2 | >>> ENV a b\\",
      "   3 | >>>   c",
      "   4 |     ",
      "--------------------",
      "",
    ].join("\n"),
  );
  assert.equal(report["result.statuscode"], "1");
});

test("the document has the file and one range per line", () => {
  const text = "FROM scratch\nENV a b\\\n  c\n";
  const document = JSON.parse(check(text)["result.json"]);
  assert.deepEqual(document.warnings[0].location, {
    ranges: [
      { start: { line: 2 }, end: { line: 2 } },
      { start: { line: 3 }, end: { line: 3 } },
    ],
  });
  assert.equal(document.warnings[0].ruleName, "LegacyKeyValueFormat");
  assert.equal(Buffer.from(document.sources[0].data, "base64").toString(), text);
});

test("a clean file is no warnings and the status 0, one that cannot be parsed is a build error", () => {
  const clean = check("FROM scratch\n");
  assert.deepEqual([JSON.parse(clean["result.json"]).warnings, clean["result.statuscode"]], [null, "0"]);
  const broken = check("FROM scratch\nRUNN x\n");
  assert.deepEqual(JSON.parse(broken["result.json"]).buildError, {
    message: "dockerfile parse error on line 2: unknown instruction: RUNN (did you mean RUN?)",
    location: { ranges: [{ start: { line: 2 }, end: { line: 2 } }] },
  });
  assert.equal(broken["result.statuscode"], "1");
});

test("a warning's event has its line in the short text", () => {
  const dockerfile = parseDockerfile(Buffer.from("FROM scratch AS A\n"), "Dockerfile");
  const [warning] = lint({ dockerfile, buildArgs: {}, platformArgs: new Map(), found: [] });
  const event = warningEvent(warning!);
  assert.equal(event.kind === "warning" && event.short, "StageNameCasing: Stage name 'A' should be lowercase (line 1)");
});
