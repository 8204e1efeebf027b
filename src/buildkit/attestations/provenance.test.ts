import assert from "node:assert/strict";
import { test } from "node:test";
import { codeOf } from "../../platform/errors.ts";
import { planText } from "../graph/plan-harness.ts";
import { maximal, parseAttestOptions } from "./attest-options.ts";
import { graphOf } from "./build-graph.ts";
import type { BuildOrigin } from "./build-origin.ts";
import { provenanceOf } from "./provenance.ts";
import { imageUrl } from "./purl.ts";
import { imageSubjects } from "./statement.ts";

const TEXT = `FROM base AS made
RUN --mount=type=secret,id=key,required=true --network=none cc
FROM scratch
COPY --from=made /o /o
`;

async function originOf(text: string, more: Partial<BuildOrigin> = {}): Promise<BuildOrigin> {
  const { platforms } = await planText(text);
  return {
    ref: "ref",
    attributes: {
      "build-arg:A": "b",
      "label:l": "v",
      target: "t",
      "attest:sbom": "",
      "vcs:revision": "abc",
      filename: "Dockerfile",
    },
    dockerfile: { name: "Dockerfile", data: Buffer.from(text) },
    remote: undefined,
    downloads: [],
    target: platforms[0]!.target,
    builderPlatform: "linux/amd64",
    startedMs: 0,
    finishedMs: 1000,
    ...more,
  };
}

// biome-ignore lint/suspicious/noExplicitAny: a document, looked at place by place.
const predicate = (origin: BuildOrigin, options = maximal): any => provenanceOf(origin, options).value;

test("a build of images alone, without a network, is complete and hermetic", async () => {
  const { materials, metadata, invocation } = predicate(await originOf(TEXT));
  assert.deepEqual(
    materials.map(({ uri }: { uri: string }) => uri),
    ["pkg:docker/base@latest?platform=linux%2Famd64"],
  );
  assert.deepEqual(metadata.completeness, { parameters: true, environment: true, materials: true });
  assert.equal(metadata["https://mobyproject.org/buildkit@v1#hermetic"], true);
  assert.deepEqual(metadata["https://mobyproject.org/buildkit@v1#metadata"].vcs, { revision: "abc" });
  assert.deepEqual(invocation.parameters.secrets, [{ id: "key" }]);
  assert.deepEqual(invocation.parameters.args, { "build-arg:A": "b", "label:l": "v", target: "t" });
});

for (const text of ["FROM base\nCOPY a /\n", "FROM base\nRUN x\n"])
  test(`materials are not complete: ${JSON.stringify(text)}`, async () => {
    assert.equal(predicate(await originOf(text)).metadata.completeness.materials, false);
  });

test("what was downloaded and where the Dockerfile was are materials; credentials are in none", async () => {
  const remote = { uri: "https://example.com/r.git#main", digest: { sha1: "c0" } };
  const downloads = [{ uri: "https://example.com/f", digest: { sha256: "ab" } }];
  const attributes = { context: "https://user:hunter2@example.com/r.git#main" };
  const made = predicate(
    await originOf("FROM scratch\nADD https://u:hunter2@example.com/f /\n", { remote, downloads, attributes }),
  );
  assert.deepEqual(made.materials, [remote, ...downloads]);
  assert.deepEqual(made.invocation.configSource, { ...remote, entryPoint: "Dockerfile" });
  assert.doesNotMatch(JSON.stringify(made), /hunter2/);
});

test("mode min leaves out arguments, labels, names of secrets and the graph, and says so", async () => {
  const made = predicate(await originOf(TEXT), { ...maximal, mode: "min" });
  assert.deepEqual(made.invocation.parameters.args, { target: "t" });
  assert.equal(made.invocation.parameters.secrets, undefined);
  assert.equal(made.buildConfig, undefined);
  assert.equal(made.metadata.completeness.parameters, false);
});

test("steps of a graph name their inputs, which stand before them", async () => {
  const { platforms } = await planText(TEXT);
  const { llbDefinition, digestMapping, locations } = graphOf(platforms[0]!.target);
  assert.deepEqual(
    llbDefinition.map(({ id, inputs }) => [id, inputs]),
    [
      ["step0", undefined],
      ["step1", ["step0:0"]],
      ["step2", ["step1:0"]],
    ],
  );
  assert.deepEqual(Object.values(digestMapping), ["step0", "step1", "step2"]);
  assert.deepEqual(locations.step1, { locations: [{ ranges: [{ start: { line: 2 }, end: { line: 2 } }] }] });
});

test("a graph of thousands of steps in a row is no deeper than a short one", async () => {
  const text = `FROM base\n${"RUN --network=none x\n".repeat(3000)}`;
  const { platforms } = await planText(text);
  assert.equal(graphOf(platforms[0]!.target).llbDefinition.length, 3001);
});

const options: readonly (readonly [Record<string, string>, object])[] = [
  [{}, { provenance: undefined, sbom: false }],
  [{ "attest:provenance": "" }, { provenance: { ...maximal, inlineOnly: false }, sbom: false }],
  [
    { "attest:provenance": "disabled=true", "attest:sbom": "disabled=true" },
    { provenance: undefined, sbom: false },
  ],
  [{ "attest:provenance": "mode=min,inline-only=true" }, { provenance: { ...maximal, mode: "min" }, sbom: false }],
  [{ "build-arg:BUILDKIT_ATTEST_SBOM": "" }, { provenance: undefined, sbom: true }],
];
for (const [attributes, expected] of options)
  test(`attestations that ${JSON.stringify(attributes)} asks for`, () => {
    assert.deepEqual(parseAttestOptions(attributes), expected);
  });

const refused: readonly (readonly [Record<string, string>, string])[] = [
  [{ "attest:provenance": "mode=huge" }, "invalid-argument"],
  [{ "attest:provenance": "version=v3" }, "invalid-argument"],
  [{ "attest:provenance": "reproducible=perhaps" }, "invalid-argument"],
  [{ "attest:provenance": "colour=red" }, "invalid-argument"],
  [{ "attest:other": "" }, "invalid-argument"],
  [{ "attest:sbom": "generator=example.com/scanner" }, "unimplemented"],
];
for (const [attributes, code] of refused)
  test(`refused as attestations: ${JSON.stringify(attributes)}`, () => {
    assert.throws(
      () => parseAttestOptions(attributes),
      (error) => codeOf(error) === code,
    );
  });

const names: readonly (readonly [string, string | undefined])[] = [
  ["busybox", "pkg:docker/busybox@latest?platform=linux%2Famd64"],
  ["team/app:v1", "pkg:docker/team/app@v1?platform=linux%2Famd64"],
  ["localhost:5000/a/b:1", "pkg:docker/localhost:5000/a/b@1?platform=linux%2Famd64"],
  ["0".repeat(64), undefined],
];
for (const [reference, url] of names)
  test(`the package URL of the image ${reference.slice(0, 20)}`, () => {
    assert.equal(imageUrl(reference, "linux/amd64"), url);
  });

test("an image without a name is a subject all the same", () => {
  assert.deepEqual(imageSubjects([], "linux/amd64", "sha256:ab"), [{ name: "_", digest: { sha256: "ab" } }]);
});
