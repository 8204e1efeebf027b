// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the texts are a Dockerfile's
import assert from "node:assert/strict";
import { test } from "node:test";
import { codeOf } from "../../platform/errors.ts";
import { type PlanOptions, requestFor } from "../graph/plan-harness.ts";
import { answerRequest } from "./sub-requests.ts";

const FILE = `# VERSION of the base
ARG VERSION=1
ARG NAME=base\${VERSION}
ARG UNUSED=1
# one does the thing
FROM \${NAME} AS one
# A is something
ARG A=x
ARG B
ARG VERSION
COPY in secret.txt /in/
RUN --mount=type=secret,id=tok,required=true --mount=type=ssh true
FROM base AS two
COPY --from=one /in /in
ENV a b
`;

async function ask(name: string, options: PlanOptions = {}, text = FILE) {
  const request = requestFor(text, options);
  const images = {
    resolve: (reference: string, wanted: { platform: string; pull: boolean }) =>
      request.images.resolve(reference === "base1" ? "base" : reference, wanted),
  };
  return answerRequest(name, { ...request, images });
}

test("the outline has what a target takes: arguments with their values, secrets and agents", async () => {
  const { "result.txt": text, "result.json": json } = await ask("frontend.outline", { target: "one" });
  assert.equal(
    text,
    `TARGET:      one
DESCRIPTION: does the thing

BUILD ARG   VALUE   DESCRIPTION
VERSION     1       of the base
NAME        base1   
A           x       is something
B                   

SECRET   REQUIRED
tok      true

SSH       REQUIRED
default   

`,
  );
  const document = JSON.parse(json!) as { args: unknown[]; sources: string[] };
  assert.deepEqual(document.args[0], {
    name: "VERSION",
    description: "of the base",
    value: "1",
    location: { ranges: [{ start: { line: 2 }, end: { line: 2 } }] },
  });
  assert.equal(Buffer.from(document.sources[0]!, "base64").toString(), FILE);
});

test("the outline of a stage that copies has what the other stages take, and given values", async () => {
  const { "result.json": json } = await ask("frontend.outline", { buildArgs: { A: "given" } });
  const { args } = JSON.parse(json!) as { args: { name: string; value: string }[] };
  assert.deepEqual(
    args.map(({ name, value }) => `${name}=${value}`),
    ["VERSION=1", "NAME=base1", "A=given", "B=undefined"],
  );
});

test("targets are the stages, the last the default one", async () => {
  const { "result.txt": text, "result.json": json } = await ask("frontend.targets");
  assert.equal(text, "TARGET        DESCRIPTION\none           does the thing\ntwo (default) \n");
  const { targets } = JSON.parse(json!) as { targets: object[] };
  assert.deepEqual(targets[0], {
    name: "one",
    description: "does the thing",
    base: "${NAME}",
    location: { ranges: [{ start: { line: 6 }, end: { line: 6 } }] },
  });
});

test("a check tells the warnings of every stage, of ignored sources too, and fails by its status", async () => {
  const ignored = async () => ["secret.txt"];
  const answer = await ask("frontend.lint", { ignored });
  const heads = answer["result.txt"]!.split("\n").filter((line) => line.startsWith("WARNING"));
  assert.deepEqual(
    heads.map((line) => line.split(" ")[1]),
    ["CopyIgnoredFile", "LegacyKeyValueFormat"],
  );
  assert.equal(answer["result.statuscode"], "1");
  const only = await ask("frontend.lint", { ignored, target: "one" });
  assert.doesNotMatch(only["result.txt"]!, /Legacy/);
  assert.equal((await ask("frontend.lint", {}, "FROM base\n"))["result.statuscode"], "0");
});

test("a check of what cannot be built says why and where, after the warnings of the lines before", async () => {
  for (const [text, message, line] of [
    ["FROM base AS One\nRUNN x\n", /unknown instruction: RUNN/, 2],
    ["FROM base AS One\nCOPY ${x?} /y\n", /x: is not allowed to be unset|x: /, 2],
    ["FROM absent AS One\n", /absent/, 1],
  ] as const) {
    const { "result.json": json, "result.statuscode": status } = await ask("frontend.lint", {}, text);
    const { warnings, buildError } = JSON.parse(json!) as {
      warnings: { ruleName: string }[];
      buildError: { message: string; location: { ranges: { start: { line: number } }[] } };
    };
    assert.deepEqual(
      warnings?.map(({ ruleName }) => ruleName),
      ["StageNameCasing"],
      text,
    );
    assert.match(buildError.message, message);
    assert.equal(buildError.location.ranges[0]!.start.line, line);
    assert.equal(status, "1");
  }
});

test("a variable that nothing sets is told where it is an argument's default, unless a value is given", async () => {
  const text = "FROM base\nARG A=$NOWHERE\n";
  assert.match((await ask("frontend.lint", {}, text))["result.txt"]!, /undefined variable '\$NOWHERE'/);
  assert.equal((await ask("frontend.lint", { buildArgs: { A: "1" } }, text))["result.txt"], "");
});

test("a request that nobody knows is unimplemented; those that are known are described", async () => {
  await assert.rejects(ask("frontend.nothing"), (error) => codeOf(error) === "unimplemented");
  assert.match(
    (await ask("frontend.subrequests.describe"))["result.txt"]!,
    /^NAME +VERSION DESCRIPTION\noutline +1\.0\.0 /,
  );
});
