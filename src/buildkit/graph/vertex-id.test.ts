import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { planText } from "./plan-harness.ts";
import { vertexId } from "./vertex-id.ts";

const idOf = async (text: string): Promise<string> => vertexId((await planText(text)).platforms[0]!.target);

describe("the id of a vertex", () => {
  test("is the same for the same work, whatever it is called and wherever it is written", async () => {
    assert.equal(await idOf("FROM base\nRUN x"), await idOf("# again\nFROM base AS named\nLABEL a=b\n\nRUN x"));
  });

  for (const [title, other] of Object.entries({
    "another command": "FROM base\nCOPY a /\nRUN y",
    "another environment": "FROM base\nENV a=b\nCOPY a /\nRUN x",
    "other files below": "FROM base\nCOPY b /\nRUN x",
    "another base": "FROM busybox\nCOPY a /\nRUN x",
  })) {
    test(`differs for ${title}`, async () =>
      assert.notEqual(await idOf("FROM base\nCOPY a /\nRUN x"), await idOf(other)));
  }

  test("is found for nine thousand steps in a row", async () => {
    const text = `FROM base\n${Array.from({ length: 9_000 }, (_, index) => `RUN ${index}\n`).join("")}`;
    assert.match(await idOf(text), /^sha256:[0-9a-f]{64}$/);
  });
});
