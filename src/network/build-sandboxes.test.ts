import assert from "node:assert/strict";
import { test } from "node:test";
import { isOfLivingBuilder } from "./build-sandboxes.ts";

const cases: readonly (readonly [title: string, id: string, alive: boolean, kept: boolean])[] = [
  ["the sandbox of a command of a builder that lives is the builder's", "build-12-ab34", true, true],
  ["the sandbox of a builder that is gone is anybody's to release", "build-12-ab34", false, false],
  ["a container's sandbox is hulld's", "3b5f0c", true, false],
  ["a container that is merely called so is hulld's", "build-tools", true, false],
];

for (const [title, id, alive, kept] of cases)
  test(title, () =>
    assert.equal(
      isOfLivingBuilder(id, (pid) => alive && pid === 12),
      kept,
    ),
  );
