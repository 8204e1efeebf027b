import assert from "node:assert/strict";
import { test } from "node:test";
import { HullError } from "../../../platform/errors.ts";
import type { ContainerRecord } from "../record.ts";
import { logAttributes, verifyLogAttributes } from "./attributes.ts";

const record = (options: Readonly<Record<string, string>>): ContainerRecord =>
  ({
    id: "0123456789abcdef",
    name: "web",
    imageId: "sha256:fedcba9876543210",
    path: "sh",
    args: ["-c", "x"],
    config: { Env: ["A=1", "PATH=/bin:/x=y"], Labels: { "com.x": "1", other: "2" }, Image: "busybox" },
    hostConfig: { LogConfig: { Type: "json-file", Config: options } },
  }) as unknown as ContainerRecord;

for (const [options, expected] of [
  [{}, {}],
  [
    { labels: "com.x,absent", env: "A" },
    { "com.x": "1", A: "1" },
  ],
  [
    { "labels-regex": "^com", "env-regex": "^P" },
    { "com.x": "1", PATH: "/bin:/x=y" },
  ],
  [{ tag: "{{.Name}}/{{ .ID }}" }, { tag: "web/0123456789ab" }],
  [{ tag: "{{.ImageName}}-{{.ImageID}}: {{.Command}}" }, { tag: "busybox-fedcba987654: sh -c x" }],
] as const)
  test(`log options ${JSON.stringify(options)} choose ${JSON.stringify(expected)}`, () =>
    assert.deepEqual(logAttributes(record(options)), expected));

for (const options of [{ "env-regex": "(" }, { tag: "{{.Nope}}" }, { tag: "{{if .Name}}x{{end}}" }])
  test(`log options ${JSON.stringify(options)} are refused`, () =>
    assert.throws(
      () => verifyLogAttributes(options),
      (error) => error instanceof HullError && error.code === "invalid-argument",
    ));
