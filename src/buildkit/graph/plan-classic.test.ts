import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { base2Config, classicCases } from "./classic-golden.ts";
import { finishImage } from "./finish.ts";
import { encodeDocument } from "./image-document.ts";
import { unusedBuildArgsLine } from "./plan-build.ts";
import { baseImage, createdBy, type PlanOptions, planText, resultsOf } from "./plan-harness.ts";

const known = {
  base: baseImage("base"),
  "base:latest": baseImage("base"),
  base2: baseImage("base2", { config: base2Config }),
};

const plan = (text: string, options: PlanOptions = {}) => planText(text, { dialect: "classic", known, ...options });

async function finished(text: string, options: PlanOptions = {}) {
  const { image } = (await plan(text, options)).platforms[0]!;
  return finishImage(image, resultsOf(image));
}

describe("a plan in the classic builder's dialect", () => {
  for (const { title, dockerfile, buildArgs, labels, history, config } of classicCases) {
    test(`dockerd's own history and configuration: ${title}`, async () => {
      const { config: document } = await finished(dockerfile, {
        buildArgs: buildArgs as Record<string, string>,
        labels: labels as Record<string, string>,
      });
      const shown = createdBy(document).slice(1);
      assert.deepEqual(
        shown.map((entry) => entry.replace(/file:a{64}/, "HASH")),
        history,
      );
      const own = { ...(document.config as object), Image: "" };
      assert.equal(JSON.stringify(own), config);
    });
  }

  test("each step is an image whose parent is the one before", async () => {
    const { config, stepIds } = await finished("FROM base\nENV a=b\nRUN x\nCMD y");
    assert.equal(stepIds.length, 3);
    assert.equal((config.config as { Image: string }).Image, stepIds[1]);
    const before = await finished("FROM base\nENV a=b\nRUN x");
    assert.equal(before.stepIds[1], stepIds[1]);
  });

  test("a step that changed no file has no layer", async () => {
    const { image } = (await plan("FROM base\nRUN a\nRUN b")).platforms[0]!;
    const second = image.entries[1]!.after;
    const { config } = finishImage(
      image,
      resultsOf(image, (vertex) => vertex === second),
    );
    const [, first, last] = config.history as { empty_layer?: boolean }[];
    assert.deepEqual([first?.empty_layer, last?.empty_layer], [undefined, true]);
    assert.equal((config.rootfs as { diff_ids: string[] }).diff_ids.length, 2);
  });

  test("an image of nothing but FROM is its base", async () => {
    assert.deepEqual((await finished("FROM base")).config, known.base.config);
  });

  test("the container's configuration: commands have no entrypoint, other steps have labels", async () => {
    const text = 'FROM base\nENTRYPOINT ["e"]\nRUN x';
    const run = (await finished(text)).config.container_config as Record<string, unknown>;
    assert.deepEqual([run.Entrypoint, run.Cmd, run.Labels], [null, ["/bin/sh", "-c", "x"], null]);
    const env = (await finished(`${text}\nENV a=b`)).config.container_config as Record<string, unknown>;
    assert.deepEqual([env.Entrypoint, env.Cmd, env.Labels], [["e"], ["/bin/sh", "-c", "#(nop) ", "ENV a=b"], {}]);
  });

  test("documents are written with Go's escapes", async () => {
    const text = encodeDocument((await finished("FROM base\nENV a=<&>")).config).toString();
    assert.match(text, /"a=\\u003c\\u0026\\u003e"/);
    assert.match(text, /^\{"architecture":"amd64","config":\{"Hostname":""/);
  });

  test("steps are counted over all stages up to the target, labels of the build included", async () => {
    const text = "ARG V=1\nFROM base AS a\nRUN  x\nFROM base2\nCOPY --from=a / /\nFROM base\nRUN y";
    const { platforms } = await plan(text, { target: "1", labels: { b: "2", a: "1" } });
    const lines = platforms[0]!.steps.map(({ number, count, text: shown, notes }) => [
      `${number}/${count} ${shown}`,
      ...notes,
    ]);
    assert.deepEqual(lines, [
      ["1/7 ARG V=1"],
      ["2/7 FROM base AS a"],
      ["3/7 RUN  x"],
      ["4/7 FROM base2", "# Executing 2 build triggers"],
      ["5/7 COPY --from=a / /"],
      ["6/7 LABEL a=1"],
      ["7/7 LABEL b=2"],
    ]);
    const vertices = platforms[0]!.steps.map(({ vertex }) => vertex?.kind);
    assert.deepEqual(vertices, [undefined, "image", "run", "copy", "copy", undefined, undefined]);
  });

  test("build arguments that nothing declares are told", async () => {
    const built = await plan("ARG G\nFROM base\nARG A\nRUN x", {
      buildArgs: { Z: "1", G: "1", A: "1", B: "1", no_proxy: "x" },
    });
    assert.equal(unusedBuildArgsLine(built), "[Warning] One or more build-args [B Z] were not consumed");
  });

  const failures = [
    ["RUN --mount=target=/x y", /^the --mount option requires BuildKit\. Refer to/],
    ["COPY --chmod=755 a b", /^the --chmod option requires BuildKit/],
    ["COPY --from=0 a b", /^invalid from flag value 0: refers to current build stage$/],
    ["COPY --from=7 a b", /^invalid from flag value 7: index out of bounds$/],
    ["COPY ../a b", /^COPY failed: forbidden path outside the build context: \.\.\/a \(\)$/],
    ["COPY /../a b", /^COPY failed: forbidden path outside the build context: \.\.\/a \(\)$/],
    ["COPY http://x/y z", /^COPY failed: source can't be a URL for COPY$/],
    ["STOPSIGNAL 0", /^invalid signal: 0$/],
    ["ENV A=1\nFROM scratch", /^No image was generated\. Is your Dockerfile empty\?$/],
    ["EXPOSE 80/icmp", /^invalid proto: icmp$/],
    ["EXPOSE 8x", /^invalid containerPort: 8x$/],
    ["STOPSIGNAL SIGNOPE", /^invalid signal: SIGNOPE$/],
    ["FROM base AS a\nFROM base AS a", /^a stage name already used$/],
    ["FROM nowhere", /^pull access denied for nowhere/],
  ] as const;
  for (const [line, message] of failures) {
    test(`refused, with its place: ${line.replace("\n", "; ")}`, async () => {
      await assert.rejects(plan(`FROM base\n${line}`), (error: Error & { facts?: { line?: number } }) => {
        assert.match(error.message, message);
        assert.equal(error.facts?.line, 1 + line.split("\n").length);
        return true;
      });
    });
  }
});
