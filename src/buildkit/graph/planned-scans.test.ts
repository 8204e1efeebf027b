import assert from "node:assert/strict";
import { test } from "node:test";
import { planText } from "./plan-harness.ts";

const TEXT = (tools: string, target: string): string =>
  `FROM base AS tools\n${tools}\nRUN x\nFROM base AS unused\nFROM base AS made\n${target}\nCOPY --from=tools /x /x\n`;

async function scansOf(tools: string, target: string, buildArgs: Readonly<Record<string, string>> = {}) {
  const { platforms } = await planText(TEXT(tools, target), { buildArgs });
  const { context, stages } = platforms[0]!.scans;
  return { context, stages: stages.map(({ name }) => name) };
}

test("a stage is looked through when its own argument says so, the context when the target's does", async () => {
  assert.deepEqual(await scansOf("ARG BUILDKIT_SBOM_SCAN_STAGE=true", "ARG BUILDKIT_SBOM_SCAN_CONTEXT=1"), {
    context: true,
    stages: ["tools"],
  });
  assert.deepEqual(await scansOf("ARG BUILDKIT_SBOM_SCAN_CONTEXT=true", "ARG BUILDKIT_SBOM_SCAN_STAGE=true"), {
    context: false,
    stages: [],
  });
});

test("build arguments name stages; what is not built is not looked through", async () => {
  assert.deepEqual(await scansOf("", "", { BUILDKIT_SBOM_SCAN_STAGE: "unused,tools" }), {
    context: false,
    stages: ["tools"],
  });
  assert.deepEqual(await scansOf("ARG BUILDKIT_SBOM_SCAN_STAGE=true", "", { BUILDKIT_SBOM_SCAN_STAGE: "false" }), {
    context: false,
    stages: [],
  });
});
