import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { KeelServe } from "../../keel/serve.ts";
import { member, tarOf } from "../../keel/tar-harness.ts";
import { ContextReceiver } from "./receive.ts";

async function* body(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}

test("what clients sent stays over the builder's restarts, but not over the machine's", async () => {
  await using keel = await KeelServe.open();
  const directory = mkdtempSync(join(tmpdir(), "hull-receive-"));
  try {
    const receiver = () => new ContextReceiver({ keel, directory, warn: (message) => assert.fail(message) });
    await receiver().recover();
    const tree = await receiver().receive(
      { body: body(tarOf(member({ name: "a", bytes: Buffer.from("x") }))) },
      AbortSignal.timeout(60_000),
    );
    assert.deepEqual(
      tree.entries.map(({ path }) => path),
      ["a"],
    );
    const shelves = () => readdirSync(join(directory, "objects"));
    assert.equal(shelves().length, 1);
    mkdirSync(join(directory, "clients"));
    writeFileSync(join(directory, "objects/incoming-1-1"), "half");
    await receiver().recover();
    assert.equal(shelves().length, 1);
    assert.ok(existsSync(join(directory, "clients")));
    writeFileSync(join(directory, "boot-id"), "another");
    await receiver().recover();
    assert.deepEqual(shelves(), []);
    assert.equal(existsSync(join(directory, "clients")), false);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
