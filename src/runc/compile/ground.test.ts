import assert from "node:assert/strict";
import { test } from "node:test";
import { operation } from "../../keel/plan.ts";
import { parseRuntimeSpec } from "../../oci/runtime-spec.ts";
import type { HostFacts } from "../host-facts.ts";
import { compileContainer } from "./container.ts";

const facts: HostFacts = {
  arch: "amd64",
  kernel: [6, 12],
  capabilities: (1n << 41n) - 1n,
  cgroups: { mode: "none", v1: [], unified: undefined },
  readText: () => undefined,
};
const spec = parseRuntimeSpec(
  JSON.stringify({
    ociVersion: "1.2.0",
    process: { args: ["sh"], cwd: "/" },
    root: { path: "/r" },
    mounts: [{ destination: "/m", type: "tmpfs" }],
    linux: { namespaces: [{ type: "mount" }] },
  }),
);

test("the ground is laid where the host does not see it, before the root is opened; what else is mounted comes last", () => {
  const ground = [operation("mkdir", { path: "/ground" })];
  const inside = [operation("mkdir", { path: "/inside" })];
  const request = { facts, spec, id: "x", bundle: "/b", inherited: new Set<string>(), wait: [], ground, inside };
  const steps = compileContainer(request).stage.map(({ name, subject }) => `${name} ${subject}`);
  const order = [
    "clone",
    "propagation /",
    "mkdir /ground",
    "openTree /r",
    "moveMountIn /m",
    "mkdir /inside",
    "pivotRoot",
  ];
  const places = order.map((text) => steps.findIndex((step) => step.startsWith(text)));
  assert.ok(
    places.every((place) => place >= 0),
    `${steps.join("\n")}`,
  );
  assert.deepEqual(
    places,
    [...places].sort((a, b) => a - b),
  );
});
