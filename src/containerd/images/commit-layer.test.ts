import assert from "node:assert/strict";
import { linkSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { chainIds, digestOf, parseDigest } from "../../oci/digest.ts";
import { codeOf } from "../../platform/errors.ts";
import { openWorkshop, type Workshop } from "./archive-fixture.ts";
import { commitLayer } from "./commit-layer.ts";
import { listStack } from "./stack.ts";

const NS = "test";

/** An active snapshot with these files, committed. */
async function commit(shop: Workshop, parent: string, files: Readonly<Record<string, string>>) {
  const { stores, kernel } = shop.tools;
  const snapshotter = stores.snapshotters.default;
  const key = `build-${Math.random()}`;
  await snapshotter.prepare(NS, { key, parent });
  const { layer } = snapshotter.paths(NS, key);
  for (const [path, data] of Object.entries(files)) {
    mkdirSync(join(layer, path, ".."), { recursive: true });
    writeFileSync(join(layer, path), data);
  }
  return commitLayer({ stores, kernel }, { namespace: NS, key, snapshotter, labels: { "containerd.io/gc.root": "x" } });
}

const blobs = (shop: Workshop): string[] => readdirSync(join(shop.directory, "data/containerd/content/blobs/sha256"));

test("a layer is committed under its chain; its blob takes no space and reads as what it was hashed as", async () => {
  await using shop = await openWorkshop();
  const { content, snapshotters } = shop.tools.stores;
  const first = await commit(shop, "", { "bin/a": "one" });
  const second = await commit(shop, first.chainId, { "bin/b": "x".repeat(300_000) });
  assert.equal(first.chainId, first.diffId);
  assert.equal(second.chainId, chainIds([first.diffId, second.diffId]).at(-1));
  assert.deepEqual(blobs(shop), []);
  assert.equal(content.info(NS, second.diffId).size, second.tarBytes);
  await using file = await content.open(NS, second.diffId);
  const bytes = await file.readFile();
  assert.equal(digestOf(bytes), second.diffId);
  assert.equal(bytes.length, second.tarBytes);
  assert.deepEqual(blobs(shop), []);
  assert.deepEqual(readdirSync(join(shop.directory, "data/containerd/content/remade")), []);
  const place = { namespace: NS, chainId: second.chainId, snapshotter: snapshotters.default };
  const stack = await listStack(shop.tools, place);
  assert.deepEqual(
    stack.map(({ diffId, tarBytes }) => [diffId, Number(tarBytes)]),
    [first, second].map(({ diffId, tarBytes }) => [diffId, tarBytes]),
  );
  await assert.rejects(
    listStack(shop.tools, { ...place, chainId: `sha256:${"0".repeat(64)}` }),
    (error) => codeOf(error) === "not-found",
  );
});

test("the same contents on the same parent are one snapshot; nothing in it is none", async () => {
  await using shop = await openWorkshop();
  const { snapshotters } = shop.tools.stores;
  const snapshotter = snapshotters.default;
  const { stores, kernel } = shop.tools;
  const keys = ["build-1", "build-2"];
  for (const key of keys) await snapshotter.prepare(NS, { key, parent: "" });
  const made = await Promise.all(
    keys.map((key) => commitLayer({ stores, kernel }, { namespace: NS, key, snapshotter, labels: {} })),
  );
  assert.deepEqual(
    made.map(({ chainId }) => chainId),
    ["", ""],
  );
  assert.deepEqual(snapshotter.list(NS), []);
  const first = await commit(shop, "", { a: "1" });
  const again = await commit(shop, "", { a: "1" });
  // Times differ by the clock at most in what a layer does not keep, or they are two layers.
  const names = snapshotter.list(NS).map(({ name }) => name);
  assert.deepEqual(new Set(names), new Set([first.chainId, again.chainId]));
});

test("a layer that there is already, or that another is just making, gets the labels of who makes it too", async () => {
  await using shop = await openWorkshop();
  const { stores, kernel } = shop.tools;
  const snapshotter = stores.snapshotters.default;
  const prepare = async (key: string) => {
    await snapshotter.prepare(NS, { key, parent: "" });
    const { layer } = snapshotter.paths(NS, key);
    writeFileSync(join(layer, "a"), "the same");
    for (const path of [join(layer, "a"), layer]) utimesSync(path, 1e9, 1e9);
  };
  const make = (key: string, labels: Readonly<Record<string, string>>) =>
    commitLayer({ stores, kernel }, { namespace: NS, key, snapshotter, labels });
  await prepare("0");
  const { chainId } = await make("0", {});
  const keys = ["1", "2", "3"];
  for (const key of keys) await prepare(key);
  const made = await Promise.all(keys.map((key) => make(key, { [`by ${key}`]: "" })));
  assert.deepEqual(new Set(made.map((one) => one.chainId)), new Set([chainId]));
  assert.deepEqual(
    snapshotter.list(NS).map(({ name }) => name),
    [chainId],
  );
  const { labels } = snapshotter.stat(NS, chainId);
  assert.deepEqual(
    Object.keys(labels)
      .filter((name) => name.startsWith("by "))
      .sort(),
    ["by 1", "by 2", "by 3"],
  );
  await snapshotter.remove(NS, chainId);
  for (const key of keys) await prepare(key);
  await Promise.all(keys.map((key) => make(key, { [`by ${key}`]: "" })));
  assert.equal(Object.keys(snapshotter.stat(NS, chainId).labels).filter((name) => name.startsWith("by ")).length, 3);
});

test("files that have names outside of the layer too are plain files of it, two names inside are a link", async () => {
  await using shop = await openWorkshop();
  const { stores, kernel } = shop.tools;
  const snapshotter = stores.snapshotters.default;
  const object = join(shop.directory, "data/object");
  writeFileSync(object, "contents");
  const tars: Buffer[] = [];
  for (const key of ["outside", "inside"]) {
    await snapshotter.prepare(NS, { key, parent: "" });
    const { layer } = snapshotter.paths(NS, key);
    linkSync(object, join(layer, "a"));
    if (key === "inside") linkSync(object, join(layer, "b"));
    const made = await commitLayer({ stores, kernel }, { namespace: NS, key, snapshotter, labels: {} });
    await using file = await stores.content.open(NS, parseDigest(made.diffId));
    tars.push(await file.readFile());
  }
  const types = (tar: Buffer): string[] => {
    const found: string[] = [];
    for (let at = 0; tar[at] !== 0; ) {
      found.push(`${tar.toString("latin1", at, at + 100).replace(/\0.*/s, "")} ${String.fromCharCode(tar[at + 156]!)}`);
      at += 512 + Math.ceil(Number.parseInt(tar.toString("latin1", at + 124, at + 135), 8) / 512) * 512;
    }
    return found;
  };
  assert.deepEqual(types(tars[0]!), ["a 0"]);
  assert.deepEqual(types(tars[1]!), ["a 0", "b 1"]);
});

test("a layer that was changed behind the store is told, never given out", async () => {
  await using shop = await openWorkshop();
  const { content, snapshotters } = shop.tools.stores;
  const made = await commit(shop, "", { a: "one" });
  writeFileSync(join(snapshotters.default.paths(NS, made.chainId).layer, "a"), "two");
  await assert.rejects(content.open(NS, made.diffId), /its files were changed/);
  assert.deepEqual(readdirSync(join(shop.directory, "data/containerd/content/remade")), []);
});

test("what nobody holds goes with its record", async () => {
  await using shop = await openWorkshop();
  const { content, snapshotters } = shop.tools.stores;
  const made = await commit(shop, "", { a: "one" });
  await shop.tools.collector.collect();
  assert.equal(snapshotters.default.list(NS).length, 1);
  const snapshot = snapshotters.default.stat(NS, made.chainId);
  const { "containerd.io/gc.root": _, ...labels } = snapshot.labels;
  snapshotters.default.label(NS, made.chainId, labels);
  await shop.tools.collector.collect();
  assert.deepEqual([content.list(NS), snapshotters.default.list(NS)], [[], []]);
});
