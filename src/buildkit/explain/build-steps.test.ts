import assert from "node:assert/strict";
import { test } from "node:test";
import { type BuildStep, compareSteps } from "./build-steps.ts";

const step = (name: string, key: string, parts = ""): BuildStep => ({
  digest: name,
  name,
  key,
  cached: false,
  reasons: [],
  parts,
});

test("builds are compared step by step, by stage and number", async () => {
  const kept: Record<string, Record<string, string>> = { p1: { "variable A": "1" }, p2: { "variable A": "2" } };
  const found = await compareSteps({
    first: [step("[a 1/3] COPY x", "k1"), step("[a 2/3] RUN y", "k2", "p1"), step("[a 3/3] RUN z", "k3")],
    second: [step("[a 1/4] COPY x", "k1"), step("[a 2/4] RUN y", "k9", "p2"), step("[b 1/1] RUN w", "k5")],
    partsOf: async ({ parts }) => kept[parts],
  });
  assert.deepEqual(found, [
    { kind: "same", name: "[a 1/4] COPY x" },
    { kind: "changed", name: "[a 2/4] RUN y", reasons: ["ARG or ENV A has changed"] },
    { kind: "only", name: "[b 1/1] RUN w", side: "second" },
    { kind: "only", name: "[a 3/3] RUN z", side: "first" },
  ]);
});

test("a changed step of which nothing more was kept says so", async () => {
  const [found] = await compareSteps({
    first: [step("[1/1] RUN y", "k1")],
    second: [step("[1/1] RUN y", "k2")],
    partsOf: async () => undefined,
  });
  assert.equal(found!.kind, "changed");
});
