import assert from "node:assert/strict";
import { test } from "node:test";
import { parseDockerfile } from "./parse.ts";
import { SourceError } from "./source-error.ts";
import { requireBuiltInSyntax } from "./syntax.ts";

const check = (syntax: string, buildArgs = {}): void => {
  const data = Buffer.from(syntax === "" ? "FROM a\n" : `# escape=\\\n# syntax=${syntax}\nFROM a\n`);
  requireBuiltInSyntax(parseDockerfile(data, "Dockerfile"), buildArgs);
};

test("every version of Docker's own language is built in", () => {
  const digest = `sha256:${"a".repeat(64)}`;
  const names = ["docker/dockerfile", "docker/dockerfile:1", "docker.io/docker/dockerfile:1.7-labs"];
  for (const name of [
    "",
    ...names,
    "docker/dockerfile-upstream:master",
    `docker/dockerfile:1@${digest}`,
    "dockerfile.v0",
  ]) {
    check(name);
  }
});

test("another language is refused, at the line that asks for it", () => {
  for (const name of ["docker/buildkit-pack", "example.com/docker/dockerfile:1", "docker/dockerfile-x"]) {
    assert.throws(
      () => check(name),
      (error) => error instanceof SourceError && error.code === "unimplemented" && error.range.startLine === 2,
      name,
    );
  }
});

test("the build argument BUILDKIT_SYNTAX stands above the directive", () => {
  check("example.com/x", { BUILDKIT_SYNTAX: "dockerfile.v0" });
  assert.throws(() => check("docker/dockerfile:1", { BUILDKIT_SYNTAX: "example.com/x" }), SourceError);
});

test("a file of another language is no broken Dockerfile when it says which one it is", () => {
  for (const text of ["// syntax=example.com/mocker\n[a]\n", '{\n"syntax": "example.com/json"}']) {
    assert.throws(() => parseDockerfile(Buffer.from(text), "Dockerfile"), /syntax "example.com\/\w+" is not built in/);
  }
});
