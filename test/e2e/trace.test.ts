import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { SpanRecord } from "../../src/trace/span.ts";
import { buildTrees, coveredMs } from "../../src/trace/waterfall.ts";
import { TestEngine } from "../engine.ts";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

interface Otlp {
  readonly resourceSpans: readonly {
    readonly scopeSpans: readonly { readonly spans: readonly { readonly name: string; readonly traceId: string }[] }[];
  }[];
}

const namesOf = (otlp: Otlp): string[] =>
  otlp.resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans.map(({ name }) => name)));

test("the trace of a run reaches from the command line to each kernel call", async () => {
  await engine.must(engine.hull("run", "--rm", "busybox", "true"));
  const otlp = JSON.parse(await engine.must(engine.hull("trace", "--otlp"))) as Otlp;
  const names = namesOf(otlp);
  for (const expected of ["hull run", "clone", "pivotRoot", "seccomp", "capabilities", "execve"]) {
    assert.ok(
      names.some((name) => name.includes(expected)),
      `${expected} in ${names.join(", ")}`,
    );
  }
  const services = otlp.resourceSpans.length;
  assert.ok(services >= 4, `spans of ${services} processes`);
});

test("hull trace prints a waterfall and names the slowest part", async () => {
  await engine.must(engine.hull("run", "--rm", "busybox", "true"));
  const text = await engine.must(engine.hull("trace"));
  assert.match(text, /^trace [0-9a-f]{32} {2}hull run/);
  assert.match(text, /slowest part: /);
});

test("a container's trace is found by its name, of a run by the docker command too", async () => {
  await engine.ok("run", "--name", "traced", "busybox", "true");
  assert.match(await engine.must(engine.hull("trace", "traced")), /pivotRoot|clone/);
  await engine.ok("rm", "traced");
});

test("spans cover at least 95 % of the time of a run", async () => {
  await engine.must(engine.hull("run", "--rm", "busybox", "true"));
  const { run } = await import("../engine.ts");
  const answer = await run(["curl", "-s", "--unix-socket", engine.socket, "http://docker/hull/v1/traces?last=1"], {});
  const { spans } = JSON.parse(answer.stdout) as { spans: SpanRecord[] };
  const root = buildTrees(spans).find((tree) => tree.span.name === "hull run");
  assert.ok(root);
  const covered = coveredMs(
    root.span,
    root.children.map((child) => child.span),
  );
  assert.ok(covered / root.span.durationMs >= 0.95, `${covered} of ${root.span.durationMs} ms`);
});
