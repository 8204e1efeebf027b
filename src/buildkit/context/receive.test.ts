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

test("a receiver is done when what it received from has gone, however slow that is", async () => {
  await using keel = await KeelServe.open();
  const directory = mkdtempSync(join(tmpdir(), "hull-receive-"));
  const slow = {
    run: async (...[plan, options]: Parameters<KeelServe["run"]>) => {
      await new Promise((resolve) => setTimeout(resolve, 100));
      return keel.run(plan, options);
    },
  };
  try {
    const warnings: string[] = [];
    const receiver = new ContextReceiver({ keel: slow, directory, warn: (message) => warnings.push(message) });
    const tar = tarOf(member({ name: "a", bytes: Buffer.from("x") }));
    await receiver.receive({ body: body(tar) }, AbortSignal.timeout(60_000));
    const incoming = () => readdirSync(directory).filter((name) => name.startsWith("incoming-"));
    assert.equal(incoming().length, 1);
    await receiver.settled();
    assert.deepEqual([incoming(), warnings], [[], []]);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

test("what clients sent stays over the builder's restarts, but not over the machine's", async () => {
  await using keel = await KeelServe.open();
  const directory = mkdtempSync(join(tmpdir(), "hull-receive-"));
  try {
    const receiver = () => new ContextReceiver({ keel, directory, warn: (message) => assert.fail(message) });
    await receiver().recover();
    const first = receiver();
    const tree = await first.receive(
      { body: body(tarOf(member({ name: "a", bytes: Buffer.from("x") }))) },
      AbortSignal.timeout(60_000),
    );
    await first.settled(); // keel ends with the test.
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
