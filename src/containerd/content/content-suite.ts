/** Conformance of content stores (contract: content-store.ts). `make` gives a fresh store for each case. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { digestOf } from "../../oci/digest.ts";
import { codeOf } from "../../platform/errors.ts";
import type { ContentStore } from "./content-store.ts";

export interface ContentSubject extends AsyncDisposable {
  readonly store: ContentStore;
  /** Another store on the same directory, as after a restart. */
  readonly reopen: () => ContentStore;
  readonly blobDirectory: string;
  readonly ingestDirectory: string;
}

const NS = "suite";
const bytes = Buffer.from("hello content");
const digest = digestOf(bytes);
const code = (expected: string) => (error: unknown) => codeOf(error) === expected;

async function put(store: ContentStore, data: Buffer, namespace = NS, ref = "r"): Promise<void> {
  await using writer = await store.openWriter(namespace, { ref });
  await writer.write(data);
  await writer.commit({ size: data.length, expected: digestOf(data) });
}

async function readBack(store: ContentStore): Promise<string> {
  await using file = await store.open(NS, digest);
  return (await file.readFile()).toString();
}

export function contentStoreSuite(name: string, make: () => Promise<ContentSubject>): void {
  const check = (title: string, body: (subject: ContentSubject) => Promise<void>): void => {
    test(`${name}: ${title}`, async () => {
      await using subject = await make();
      await body(subject);
    });
  };

  check("what was written is read back, with size, labels and times", async ({ store }) => {
    await using writer = await store.openWriter(NS, { ref: "r", total: bytes.length, expected: digest });
    await writer.write(bytes.subarray(0, 5));
    await writer.write(bytes.subarray(5));
    const blob = await writer.commit({ size: bytes.length, expected: digest, labels: { a: "b" } });
    assert.deepEqual([blob.digest, blob.size, blob.labels], [digest, bytes.length, { a: "b" }]);
    assert.equal(await readBack(store), bytes.toString());
    assert.deepEqual(store.info(NS, digest), blob);
  });

  check("a wrong digest is refused and nothing is left", async ({ store, blobDirectory, ingestDirectory }) => {
    await using writer = await store.openWriter(NS, { ref: "r" });
    await writer.write(bytes);
    await assert.rejects(writer.commit({ size: 0, expected: digestOf("other") }), code("failed-precondition"));
    assert.deepEqual([readdirSync(blobDirectory), readdirSync(ingestDirectory)], [[], []]);
    assert.equal(store.find(NS, digest), undefined);
  });

  check("a wrong size is refused", async ({ store }) => {
    await using writer = await store.openWriter(NS, { ref: "r" });
    await writer.write(bytes);
    await assert.rejects(writer.commit({ size: bytes.length + 1 }), code("failed-precondition"));
    assert.deepEqual(store.list(NS), []);
  });

  check("an ingest goes on where it was, also after a restart", async ({ store, reopen }) => {
    {
      await using writer = await store.openWriter(NS, { ref: "r", total: bytes.length, expected: digest });
      await writer.write(bytes.subarray(0, 4));
    }
    const again = reopen();
    const [ingest] = await again.ingests(NS);
    assert.deepEqual([ingest?.ref, ingest?.offset, ingest?.total, ingest?.expected], ["r", 4, bytes.length, digest]);
    await using writer = await again.openWriter(NS, { ref: "r" });
    assert.equal(writer.status().offset, 4);
    await writer.write(bytes.subarray(4));
    await writer.commit({ size: bytes.length });
    assert.deepEqual(await again.ingests(NS), []);
    assert.equal(await readBack(again), bytes.toString());
  });

  check("one writer per ref", async ({ store }) => {
    await using _ = await store.openWriter(NS, { ref: "r" });
    await assert.rejects(store.openWriter(NS, { ref: "r" }), code("unavailable"));
    await using other = await store.openWriter(NS, { ref: "s" });
    assert.equal(other.status().offset, 0);
  });

  check("truncate forgets what is beyond", async ({ store }) => {
    await using writer = await store.openWriter(NS, { ref: "r" });
    await writer.write(Buffer.concat([bytes, Buffer.from("too much")]));
    await writer.truncate(bytes.length);
    await writer.commit({ size: bytes.length, expected: digest });
    assert.equal(await readBack(store), bytes.toString());
  });

  check("an abort leaves nothing; twice is not found", async ({ store, ingestDirectory }) => {
    {
      await using writer = await store.openWriter(NS, { ref: "r" });
      await writer.write(bytes);
    }
    await store.abort(NS, "r");
    assert.deepEqual(readdirSync(ingestDirectory), []);
    await assert.rejects(store.abort(NS, "r"), code("not-found"));
  });

  check("a blob is there once; a second write of it says so", async ({ store }) => {
    await put(store, bytes);
    await assert.rejects(store.openWriter(NS, { ref: "x", expected: digest }), code("already-exists"));
    await assert.rejects(put(store, bytes), code("already-exists"));
    assert.deepEqual(await store.ingests(NS), []);
  });

  check("namespaces share bytes but not records", async ({ store, blobDirectory }) => {
    await put(store, bytes, "one");
    assert.throws(() => store.info("two", digest), code("not-found"));
    await put(store, bytes, "two");
    assert.equal(readdirSync(blobDirectory).length, 1);
    await store.delete("one", digest);
    assert.equal(readdirSync(blobDirectory).length, 1);
    await store.delete("two", digest);
    assert.deepEqual(readdirSync(blobDirectory), []);
  });

  check("labels are replaced; an absent blob has none", async ({ store }) => {
    await put(store, bytes);
    assert.deepEqual(store.label(NS, digest, { x: "1" }).labels, { x: "1" });
    assert.throws(() => store.label(NS, digestOf("none"), {}), code("not-found"));
  });

  check("deleting an absent blob is not found", async ({ store }) => {
    await assert.rejects(store.delete(NS, digest), code("not-found"));
  });

  check("empty and oversized refs are refused", async ({ store }) => {
    await assert.rejects(store.openWriter(NS, { ref: "" }), code("invalid-argument"));
    await assert.rejects(store.openWriter(NS, { ref: "x".repeat(5000) }), code("invalid-argument"));
  });

  check("refs may be any text", async ({ store }) => {
    await put(store, bytes, NS, "../../etc/passwd\n☃");
    assert.equal(await readBack(store), bytes.toString());
  });

  check("records and blobs are there after a restart", async ({ store, reopen }) => {
    await put(store, bytes);
    const again = reopen();
    assert.deepEqual(again.list(NS), store.list(NS));
    assert.equal(await readBack(again), bytes.toString());
  });

  check("megabytes arrive whole", async ({ store }) => {
    const big = Buffer.alloc(5_000_000, "0123456789");
    await using writer = await store.openWriter(NS, { ref: "big", expected: digestOf(big) });
    for (let at = 0; at < big.length; at += 777_777) await writer.write(big.subarray(at, at + 777_777));
    assert.equal((await writer.commit({ size: big.length })).size, big.length);
  });
}
