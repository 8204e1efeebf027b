// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the texts are a Dockerfile's
import assert from "node:assert/strict";
import { test } from "node:test";
import { HullError } from "../../platform/errors.ts";
import type { BuildRequest } from "../build.ts";
import { SourceError } from "../dockerfile/source-error.ts";
import { planText } from "../graph/plan-harness.ts";
import type { BuildEvent } from "../progress.ts";
import { readDockerfileOf, tellWarnings } from "./build-checks.ts";

type Asked = Pick<BuildRequest, "dialect" | "dockerfile" | "buildArgs" | "listener" | "ignored">;

const asked = (text: string, more: Partial<Asked> = {}): BuildRequest =>
  ({
    dialect: "buildkit",
    dockerfile: { name: "Dockerfile", data: Buffer.from(text) },
    buildArgs: {},
    listener: () => {},
    ignored: async () => [],
    ...more,
  }) as Asked as BuildRequest;

async function warningsOf(text: string, more: Partial<Asked> = {}): Promise<readonly string[]> {
  const told: BuildEvent[] = [];
  const request = asked(text, { ...more, listener: (event) => told.push(event) });
  await tellWarnings(request, readDockerfileOf(request), await planText(text, { dialect: request.dialect }));
  return told.map((event) => (event.kind === "warning" ? event.short : event.kind));
}

test("a build tells the checks' warnings, those of the plan among them", async () => {
  const text = "FROM base AS one\nENV a b\nFROM base AS Two\nCOPY $VERSON /\nWORKDIR x\n";
  assert.deepEqual(await warningsOf(text), [
    "StageNameCasing: Stage name 'Two' should be lowercase (line 3)",
    "UndefinedVar: Usage of undefined variable '$VERSON' (line 4)",
    'WorkdirRelativePath: Relative workdir "x" can have unexpected results if the base image changes (line 5)',
  ]);
});

test("the classic builder checks nothing and takes every syntax for a comment", async () => {
  const text = "# syntax=example.com/other\nFROM base AS One\n";
  assert.deepEqual(await warningsOf(text, { dialect: "classic" }), []);
  assert.throws(() => readDockerfileOf(asked(text)), SourceError);
});

test("with error=true the build ends after its warnings", async () => {
  await assert.rejects(warningsOf("# check=error=true\nFROM base AS One\n"), HullError);
});
