import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { HullError } from "../../platform/errors.ts";
import { buildkitCases } from "./buildkit-golden.ts";
import { base2Config, classicCases } from "./classic-golden.ts";
import { finishImage } from "./finish.ts";
import { encodeDocument } from "./image-document.ts";
import { baseImage, planText, resultsOf } from "./plan-harness.ts";
import { vertexId } from "./vertex-id.ts";

const written = [...classicCases, ...buildkitCases].flatMap(({ dockerfile }) => dockerfile.split("\n"));
const more = [
  "RUN --mount=type=cache,target=/x,id=$A y",
  "COPY --link --from=first a b",
  "COPY --from=1 a b",
  "ADD https://example.com/x.git#main:sub /x",
  "RUN <<EOF",
  "EOF",
  "COPY --parents a/./b/** /x",
  "ONBUILD COPY --from=first x y",
  "FROM first",
];
const known = { "base:latest": baseImage("base"), base2: baseImage("base2", { config: base2Config }) };

test("whatever the lines are: a plan that can be finished, or an error that knows its line", async () => {
  const lines = fc.array(fc.constantFrom(...written, ...more), { maxLength: 12 });
  const dialects = fc.constantFrom("classic", "buildkit");
  await fc.assert(
    fc.asyncProperty(lines, dialects, async (some, dialect) => {
      try {
        const text = ["FROM base AS first", ...some].join("\n");
        const { platforms } = await planText(text, { dialect, known, labels: { a: "b" } });
        const { target, image } = platforms[0]!;
        assert.match(vertexId(target), /^sha256:/);
        assert.ok(encodeDocument(finishImage(image, resultsOf(image)).config).length > 0);
      } catch (error) {
        assert.ok(error instanceof HullError, String(error));
        assert.equal(typeof error.facts.line, "number");
      }
    }),
    { numRuns: 500 },
  );
});
