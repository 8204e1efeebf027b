import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { chainIds, digestOf, hexOf } from "../../oci/digest.ts";
import { hostPlatform } from "../../oci/platform.ts";
import { codeOf } from "../../platform/errors.ts";
import { addLayer } from "./add-layer.ts";
import { type ArchiveDraft, layerTar, openWorkshop, type Workshop, writeDockerArchive } from "./archive-fixture.ts";
import { exportImages } from "./export.ts";
import { type Loaded, loadImages } from "./load.ts";
import { unpackImage } from "./unpack.ts";

const NS = "test";
const NAME = "docker.io/library/app:1";
const draft: ArchiveDraft = {
  names: ["app:1"],
  layers: [
    { "bin/a": "one", "etc/x": "x" },
    { "bin/b": "two", "etc/x": null },
  ],
};

async function load(shop: Workshop, directory: string): Promise<Loaded[]> {
  const { tools } = shop;
  const snapshotter = tools.stores.snapshotters.default;
  const loaded: Loaded[] = [];
  const request = { namespace: NS, directory, snapshotter, platform: hostPlatform(), keepReplaced: true };
  for await (const one of loadImages(tools, request)) loaded.push(one);
  return loaded;
}

const resolve = (shop: Workshop, name: string) =>
  shop.tools.reader.resolve(NS, shop.tools.stores.images.get(NS, name).target, hostPlatform());

function layerFile(shop: Workshop, chainId: string, file: string): string {
  return join(shop.tools.stores.snapshotters.default.paths(NS, chainId).layer, file);
}

/** Everything is collected and no file of a blob or layer is left. */
async function assertNothingLeft({ tools, directory }: Workshop): Promise<void> {
  await tools.collector.collect();
  const { content, snapshotters } = tools.stores;
  assert.deepEqual([content.list(NS), snapshotters.default.list(NS)], [[], []]);
  assert.deepEqual(readdirSync(join(directory, "data/containerd/content/blobs/sha256")), []);
  assert.deepEqual(
    readdirSync(join(directory, "data/overlay2")).filter((name) => name !== "l"),
    [],
  );
  assert.deepEqual(readdirSync(join(directory, "data/overlay2/l")), []);
}

test("a docker-archive becomes an image with verified, unpacked layers", async () => {
  await using shop = await openWorkshop();
  const directory = shop.scratch("a");
  const { config } = writeDockerArchive(directory, draft);
  const [loaded] = await load(shop, directory);
  assert.deepEqual(loaded, { name: NAME, named: true, configDigest: digestOf(config) });
  const image = await resolve(shop, NAME);
  assert.equal(image.manifest.layers.length, 2);
  assert.equal(readFileSync(layerFile(shop, image.chain[0]!, "bin/a"), "utf8"), "one");
  assert.equal(readFileSync(layerFile(shop, image.chain[1]!, "bin/b"), "utf8"), "two");
  for (const { digest, size } of [...image.manifest.layers, image.manifest.config]) {
    assert.equal(shop.tools.stores.content.info(NS, digest).size, size);
    assert.equal(digestOf(readFileSync(shop.tools.stores.content.path(NS, digest))), digest);
  }
});

test("image layers have diff, link, lower and committed; no merged and no work", async () => {
  await using shop = await openWorkshop();
  const directory = shop.scratch("a");
  writeDockerArchive(directory, draft);
  await load(shop, directory);
  const { chain } = await resolve(shop, NAME);
  const entries = chain.map((id) => readdirSync(join(layerFile(shop, id, ""), "..")).sort());
  assert.deepEqual(entries, [
    ["committed", "diff", "link"],
    ["committed", "diff", "link", "lower"],
  ]);
});

test("compressed layers are taken as they are", async () => {
  await using shop = await openWorkshop();
  const directory = shop.scratch("a");
  writeDockerArchive(directory, { ...draft, gzip: true });
  await load(shop, directory);
  const image = await resolve(shop, NAME);
  assert.ok(image.manifest.layers.every(({ mediaType }) => mediaType.endsWith("gzip")));
});

test("what is removed is collected with all its files, what is shared stays", async () => {
  await using shop = await openWorkshop();
  const [a, b] = [shop.scratch("a"), shop.scratch("b")];
  writeDockerArchive(a, draft);
  writeDockerArchive(b, { ...draft, names: ["other"], layers: [draft.layers[0]!] });
  await load(shop, a);
  await load(shop, b);
  const shared = (await resolve(shop, NAME)).chain[0]!;
  const { images, snapshotters } = shop.tools.stores;
  images.delete(NS, NAME);
  await shop.tools.collector.collect();
  assert.deepEqual(
    snapshotters.default.list(NS).map(({ name }) => name),
    [shared],
  );
  images.delete(NS, "docker.io/library/other:latest");
  await assertNothingLeft(shop);
});

test("a name that moves leaves the old image without a name", async () => {
  await using shop = await openWorkshop();
  const [a, b] = [shop.scratch("a"), shop.scratch("b")];
  writeDockerArchive(a, draft);
  writeDockerArchive(b, { ...draft, layers: [{ new: "1" }] });
  await load(shop, a);
  const old = shop.tools.stores.images.get(NS, NAME).target.digest;
  await load(shop, b);
  assert.deepEqual(
    shop.tools.stores.images.list(NS).map(({ name }) => name),
    [NAME, `moby-dangling@${old}`],
  );
});

test("an image without a name is loaded as dangling", async () => {
  await using shop = await openWorkshop();
  const directory = shop.scratch("a");
  writeDockerArchive(directory, { ...draft, names: null });
  const [loaded] = await load(shop, directory);
  assert.equal(loaded?.named, false);
  assert.match(loaded!.name, /^moby-dangling@sha256:/);
});

test("links between equal layers of an old archive are followed inside of it", async () => {
  await using shop = await openWorkshop();
  const directory = shop.scratch("a");
  writeDockerArchive(directory, { ...draft, layers: [draft.layers[0]!, draft.layers[0]!] });
  rmSync(join(directory, "layer1/layer.tar"));
  symlinkSync("../layer0/layer.tar", join(directory, "layer1/layer.tar"));
  await load(shop, directory);
  assert.equal((await resolve(shop, NAME)).manifest.layers.length, 2);
});

test("saved and loaded again an image is the same; every path of manifest.json is there and hashes right", async () => {
  await using shop = await openWorkshop();
  const directory = shop.scratch("a");
  writeDockerArchive(directory, draft);
  await load(shop, directory);
  const image = await resolve(shop, NAME);
  const tar = join(shop.directory, "saved.tar");
  const chunks: Buffer[] = [];
  for await (const chunk of exportImages(shop.tools.stores.content, NS, [{ image, references: [NAME] }]))
    chunks.push(chunk);
  writeFileSync(tar, Buffer.concat(chunks));
  const again = shop.scratch("again");
  execFileSync("tar", ["-xf", tar, "-C", again]);
  const [entry] = JSON.parse(readFileSync(join(again, "manifest.json"), "utf8"));
  assert.deepEqual(entry.RepoTags, ["app:1"]);
  for (const path of [entry.Config, ...entry.Layers]) {
    assert.equal(hexOf(digestOf(readFileSync(join(again, path)))), path.slice(path.lastIndexOf("/") + 1));
  }
  const layout = shop.scratch("layout");
  cpSync(again, layout, { recursive: true });
  rmSync(join(layout, "manifest.json"));
  shop.tools.stores.images.delete(NS, NAME);
  await assertNothingLeft(shop);
  await load(shop, layout);
  assert.equal((await resolve(shop, NAME)).manifestDescriptor.digest, image.manifestDescriptor.digest);
  await load(shop, again);
});

const bad: readonly (readonly [string, (directory: string) => void])[] = [
  ["an empty directory", (directory) => rmSync(join(directory, "manifest.json"))],
  ["a manifest that is not JSON", (directory) => writeFileSync(join(directory, "manifest.json"), "[{")],
  ["no image in it", (directory) => writeFileSync(join(directory, "manifest.json"), "[]")],
  ["a layer path with ..", (directory) => editManifest(directory, { Layers: ["../../x", "layer1/layer.tar"] })],
  ["an absolute layer path", (directory) => editManifest(directory, { Layers: ["/etc/passwd", "layer1/layer.tar"] })],
  ["a config path out of it", (directory) => editManifest(directory, { Config: "../../../etc/passwd" })],
  ["too few layers", (directory) => editManifest(directory, { Layers: ["layer0/layer.tar"] })],
  ["a malformed name", (directory) => editManifest(directory, { RepoTags: ["app//x:y"] })],
  ["a missing layer", (directory) => rmSync(join(directory, "layer1/layer.tar"))],
  [
    "a layer that is a directory",
    (directory) => {
      rmSync(join(directory, "layer1/layer.tar"));
      mkdirSync(join(directory, "layer1/layer.tar"));
    },
  ],
  [
    "a layer link out of it",
    (directory) => {
      rmSync(join(directory, "layer1/layer.tar"));
      symlinkSync("/etc/passwd", join(directory, "layer1/layer.tar"));
    },
  ],
  ["a layer cut short", (directory) => truncateSync(join(directory, "layer1/layer.tar"), 700)],
  [
    "another layer than the config names",
    (directory) => writeFileSync(join(directory, "layer1/layer.tar"), layerTar(directory, { evil: "x" })),
  ],
  ["a config that does not have its name's digest", (directory) => editConfig(directory)],
];

function editManifest(directory: string, change: Readonly<Record<string, unknown>>): void {
  const path = join(directory, "manifest.json");
  const [entry] = JSON.parse(readFileSync(path, "utf8"));
  writeFileSync(path, JSON.stringify([{ ...entry, ...change }]));
}

function editConfig(directory: string): void {
  const [entry] = JSON.parse(readFileSync(join(directory, "manifest.json"), "utf8"));
  const path = join(directory, entry.Config);
  writeFileSync(path, `${readFileSync(path, "utf8")} `);
}

for (const [title, spoil] of bad) {
  test(`an archive with ${title} is refused and leaves nothing`, async () => {
    await using shop = await openWorkshop();
    const directory = shop.scratch("a");
    writeDockerArchive(directory, draft);
    spoil(directory);
    await assert.rejects(load(shop, directory), (error) => {
      assert.equal(codeOf(error), "invalid-argument", String(error));
      return true;
    });
    assert.deepEqual(shop.tools.stores.images.list(NS), []);
    await assertNothingLeft(shop);
  });
}

test("a layer that leads out of its directory writes nothing outside", async () => {
  await using shop = await openWorkshop();
  const directory = shop.scratch("a");
  const tree = shop.scratch("evil");
  mkdirSync(join(tree, "sub"));
  writeFileSync(join(tree, "probe"), "evil");
  const tar = execFileSync("tar", ["-C", join(tree, "sub"), "-P", "-cf", "-", "../probe"]);
  const { layerPaths } = writeDockerArchive(directory, {
    ...draft,
    layers: [{ a: "1" }],
    config: { rootfs: { type: "layers", diff_ids: [digestOf(tar)] } },
  });
  writeFileSync(layerPaths[0]!, tar);
  await load(shop, directory).catch((error) => assert.equal(codeOf(error), "invalid-argument"));
  for (const place of ["", "data", "data/overlay2", "data/containerd"]) {
    assert.equal(existsSync(join(shop.directory, place, "probe")), false, place);
  }
  const own = shop.tools.stores.snapshotters.default
    .list(NS)
    .map(({ id }) => readdirSync(join(shop.directory, "data/overlay2", id)));
  assert.ok(own.every((entries) => !entries.includes("probe")));
});

test("a tar becomes an image of one layer; its file is moved away", async () => {
  await using shop = await openWorkshop();
  const tar = join(shop.scratch("import"), "rootfs.tar");
  const bytes = layerTar(shop.scratch("tree"), { "etc/hostname": "imported" });
  writeFileSync(tar, bytes);
  const { tools } = shop;
  const config = Buffer.from(JSON.stringify({ os: "linux", architecture: "amd64", config: { Cmd: ["x"] } }));
  const snapshotter = tools.stores.snapshotters.default;
  const record = await addLayer(tools, {
    namespace: NS,
    source: { tar },
    config,
    name: NAME,
    snapshotter,
    keepReplaced: true,
  });
  const image = await tools.reader.resolve(NS, record.target, hostPlatform());
  assert.deepEqual(image.config.diffIds, [digestOf(bytes)]);
  assert.equal(existsSync(tar), false);
  assert.equal(readFileSync(layerFile(shop, image.chain[0]!, "etc/hostname"), "utf8"), "imported");
});

test("a snapshot's changes become a layer on the parent's", async () => {
  await using shop = await openWorkshop();
  const directory = shop.scratch("a");
  writeDockerArchive(directory, draft);
  await load(shop, directory);
  const parent = await resolve(shop, NAME);
  const { tools } = shop;
  const snapshotter = tools.stores.snapshotters.default;
  await snapshotter.prepare(NS, { key: "c", parent: parent.chain.at(-1)! });
  writeFileSync(join(snapshotter.paths(NS, "c").layer, "added"), "by the container");
  const request = {
    namespace: NS,
    source: { snapshot: "c" },
    parent,
    config: parent.configBytes,
    name: "docker.io/library/committed:1",
    snapshotter,
    keepReplaced: true,
  };
  const record = await addLayer(tools, request);
  const image = await tools.reader.resolve(NS, record.target, hostPlatform());
  assert.deepEqual(image.config.diffIds.slice(0, 2), parent.config.diffIds);
  assert.equal(image.config.diffIds.length, 3);
  assert.deepEqual(chainIds(image.config.diffIds), image.chain);
  assert.equal(readFileSync(layerFile(shop, image.chain[2]!, "added"), "utf8"), "by the container");
});

test("an image is unpacked for another snapshotter, layers in order where it needs that", async () => {
  await using shop = await openWorkshop();
  const directory = shop.scratch("a");
  writeDockerArchive(directory, draft);
  await load(shop, directory);
  const image = await resolve(shop, NAME);
  const vfs = shop.tools.stores.snapshotters.get("vfs");
  await unpackImage(shop.tools, { namespace: NS, image, snapshotter: vfs });
  const top = vfs.paths(NS, image.chain[1]!).layer;
  assert.deepEqual([readdirSync(join(top, "bin")).sort(), existsSync(join(top, "etc/x"))], [["a", "b"], false]);
  shop.tools.stores.images.delete(NS, NAME);
  await shop.tools.collector.collect();
  assert.deepEqual(vfs.list(NS), []);
});
