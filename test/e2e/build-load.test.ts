import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { makeContext, putLoad } from "../build-load.ts";
import { TestEngine } from "../engine.ts";

const MB = 1024 * 1024;
const CONTEXT_BYTES = 50 * MB;
const OWN = 25;
const SHARING = 25;

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

test("fifty builds at once, half of one context, fifty runs and twenty stops beside them: all succeed, in little memory and disk", async () => {
  const shared = makeContext(engine.path("contexts/shared"), CONTEXT_BYTES);
  const own = Array.from({ length: OWN }, (_, i) => makeContext(engine.path(`contexts/${i}`), CONTEXT_BYTES));
  const contexts = [...own.flatMap((path) => [path, shared])];
  assert.equal(contexts.length, OWN + SHARING);
  const load = await putLoad({
    socket: engine.socket,
    engineDirectory: engine.path(""),
    contexts,
    build: (context) => ["docker", "build", "-q", context],
    runs: 50,
    stops: 20,
    paceMs: 150,
  });
  const ids = load.builds.map(({ code, stdout, stderr }) => {
    assert.equal(code, 0, stderr);
    return stdout.trim();
  });
  assert.equal(new Set(ids).size, OWN + 1, "one image per context");
  assert.equal(load.runsMs.length, 50);
  assert.equal(load.stopsMs.length, 20);
  for (const name of ["hulld", "hull-buildkitd"]) {
    const bytes = load.residentBytes.get(name) ?? Number.POSITIVE_INFINITY;
    assert.ok(bytes < 300 * MB, `${name}: ${Math.round(bytes / MB)} MB`);
  }
  assert.ok(load.allResidentBytes < 1024 * MB, `together ${Math.round(load.allResidentBytes / MB)} MB`);
  const used =
    Number(
      execFileSync(
        "du",
        ["-sk", "--total", ...["buildkit", "overlay2", "containerd"].map((name) => join(engine.dataRoot, name))],
        { encoding: "utf8" },
      )
        .trim()
        .split("\n")
        .at(-1)!
        .split("\t")[0],
    ) * 1024;
  const unique = (OWN + 1) * CONTEXT_BYTES;
  assert.ok(used < 1.1 * unique, `${Math.round(used / MB)} MB on disk of ${unique / MB} MB`);
  const summed = await engine.ok("run", "--rm", ids[0]!, "sh", "-c", "find /c -type f | wc -l");
  assert.equal(Number(summed), CONTEXT_BYTES / (256 * 1024) + 1);
});
