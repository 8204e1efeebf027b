import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, beforeEach, test } from "node:test";
import { KeelServe } from "../../keel/serve.ts";
import { digestOf, hexOf } from "../../oci/digest.ts";
import { HullError } from "../../platform/errors.ts";
import { Reserve } from "../../platform/reserve.ts";
import type { Kernel } from "../kernel.ts";
import { openDatabase } from "../store/database.ts";
import { ingestName, TRANSIENT_REF } from "./ingest.ts";
import { LocalContent } from "./local-content.ts";

const NS = "faults";
const keel = await KeelServe.open();
let root = "";
beforeEach(() => {
  root = mkdtempSync(join(process.env.TMPDIR ?? "/tmp", "hull-content-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));
after(() => keel[Symbol.asyncDispose]());

function open(kernel: Kernel): LocalContent {
  const reserve = new Reserve(join(root, "reserve"));
  const db = openDatabase({ path: join(root, "m.db"), synchronous: "FULL", schemaVersion: 1, reserve });
  return new LocalContent({ root, db, kernel });
}

const blobs = (): string[] => readdirSync(join(root, "blobs/sha256"));
const file = (text: string): string => {
  const path = join(root, "file");
  writeFileSync(path, text);
  return path;
};

test("a blob whose deletion keel was killed over is deleted", async () => {
  let kills = 2;
  const store = open({
    run: async (plan, options) => {
      if (plan[0]?.name === "unlink" && kills-- > 0) throw new HullError("unavailable", "keel serve ended");
      return keel.run(plan, options);
    },
  });
  const digest = digestOf(Buffer.from("text"));
  await store.adopt(NS, file("text"), { digest });
  await store.delete(NS, digest);
  assert.deepEqual(blobs(), []);
});

test("the same bytes that come while they are being deleted stay", async () => {
  const unlinking = Promise.withResolvers<void>();
  const store = open({
    run: async (plan, options) => {
      if (plan[0]?.name === "unlink") await unlinking.promise;
      return keel.run(plan, options);
    },
  });
  const digest = digestOf(Buffer.from("text"));
  await store.adopt(NS, file("text"), { digest });
  const deleted = store.delete(NS, digest);
  const adopted = store.adopt(NS, file("text"), { digest });
  unlinking.resolve();
  await Promise.all([deleted, adopted]);
  assert.deepEqual(blobs(), [hexOf(digest)]);
  assert.equal(store.info(NS, digest).size, 4);
});

test("at its start the store deletes files without a record and writes that nobody resumes, and keeps the rest", async () => {
  const before = open(keel);
  const kept = digestOf(Buffer.from("kept"));
  await before.adopt(NS, file("kept"), { digest: kept });
  writeFileSync(join(root, "blobs/sha256", hexOf(digestOf(Buffer.from("orphan")))), "orphan");
  mkdirSync(join(root, "ingest", "without-head"));
  for (const ref of [`${TRANSIENT_REF}1`, "a client's"]) {
    await using writer = await before.openWriter(NS, { ref });
    await writer.write(Buffer.from("half"));
  }
  const next = open(keel);
  await next.sweep();
  assert.deepEqual(blobs(), [hexOf(kept)]);
  assert.deepEqual(readdirSync(join(root, "ingest")), [ingestName(NS, "a client's")]);
});
