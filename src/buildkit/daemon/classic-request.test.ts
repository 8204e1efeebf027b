import assert from "node:assert/strict";
import { test } from "node:test";
import { codeOf, messageOf } from "../../platform/errors.ts";
import { parseClassicQuery } from "./classic-request.ts";

const query = (fields: Readonly<Record<string, string>>): string => new URLSearchParams(fields).toString();

test("a query without anything asks for Docker's defaults", () => {
  const options = parseClassicQuery("");
  assert.deepEqual(options.tags, []);
  assert.equal(options.dockerfile, "");
  assert.equal(options.removes, true);
  assert.equal(options.network, "default");
  assert.equal(options.noCache, false);
});

test("everything the docker command sends is taken over", () => {
  const options = parseClassicQuery(
    query({
      t: "app",
      dockerfile: "build/Dockerfile",
      buildargs: '{"A":"1","UNSET":null}',
      labels: '{"l":"v"}',
      cachefrom: '["base"]',
      extrahosts: "db:10.0.0.2",
      ulimits: '[{"Name":"nofile","Soft":10,"Hard":20}]',
      memory: "1048576",
      shmsize: "67108864",
      networkmode: "host",
      nocache: "1",
      rm: "0",
      platform: "linux/ARM64",
      version: "1",
    }),
  );
  assert.deepEqual(
    options.tags.map(({ path, tag }) => `${path}:${tag}`),
    ["library/app:latest"],
  );
  assert.deepEqual(options.buildArgs, { A: "1" });
  assert.deepEqual(options.labels, { l: "v" });
  assert.deepEqual(options.cacheFrom, ["base"]);
  assert.deepEqual(options.extraHosts, ["db:10.0.0.2"]);
  assert.deepEqual(options.limits.ulimits, ["nofile=10:20"]);
  assert.equal(options.limits.memoryBytes, 1_048_576);
  assert.equal(options.limits.shmBytes, 67_108_864);
  assert.equal(options.network, "host");
  assert.equal(options.noCache, true);
  assert.equal(options.removes, false);
  assert.equal(options.platform, "linux/arm64");
});

test("the same name given twice is one tag", () => {
  assert.equal(parseClassicQuery("t=app&t=app:latest&t=docker.io/library/app").tags.length, 1);
});

const refused: readonly (readonly [string, Readonly<Record<string, string>>, RegExp])[] = [
  ["a bad name", { t: "UPPER" }, /invalid reference format/],
  ["a name with a digest", { t: `a@sha256:${"0".repeat(64)}` }, /build tag cannot contain a digest/],
  ["arguments that are no JSON", { buildargs: "{" }, /^error reading build args: /],
  ["labels that are no map", { labels: "[]" }, /^error reading labels: /],
  ["limits that are no list", { ulimits: "{}" }, /^error reading ulimit settings: /],
  ["a size that is no number", { shmsize: "big" }, /strconv.ParseInt: parsing "big": invalid syntax/],
  ["security options", { securityopt: "x" }, /does not support setting security options on build/],
  ["another isolation", { isolation: "hyperv" }, /unsupported isolation: "hyperv"/],
  ["squash", { squash: "1" }, /squash is only supported with experimental mode/],
  ["an unknown builder", { version: "3" }, /invalid version: 3/],
];

for (const [what, fields, message] of refused)
  test(`${what} is refused in Docker's words`, () => {
    assert.throws(
      () => parseClassicQuery(query(fields)),
      (error) => codeOf(error) === "invalid-argument" && message.test(messageOf(error)),
    );
  });
