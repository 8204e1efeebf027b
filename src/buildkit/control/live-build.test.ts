import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { LiveBuild } from "./live-build.ts";

test("a message larger than a read of its file reaches who asks late, whole", async () => {
  const directory = mkdtempSync(join(tmpdir(), "live-build-"));
  const build = new LiveBuild({ ref: "r", sessionId: "s", entitlements: [] }, directory);
  const said = Array.from({ length: 6 }, (_, i) => Buffer.alloc(63_000, i));
  for (const data of said) {
    build.listen({ kind: "log", id: "v", stream: 1, atNs: 1n, data });
    build.listen({ kind: "log", id: "v", stream: 1, atNs: 1n, data });
  }
  build.finish();
  const heard: Uint8Array[] = [];
  for await (const { logs } of build.status()) for (const { msg } of logs) heard.push(msg);
  assert.deepEqual(Buffer.concat(heard), Buffer.concat(said.flatMap((data) => [data, data])));
  await build[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true });
});
