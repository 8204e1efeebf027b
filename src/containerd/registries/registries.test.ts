import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { gunzipSync } from "node:zlib";
import { type Digest, digestOf } from "../../oci/digest.ts";
import { type Manifest, mediaTypes } from "../../oci/image.ts";
import { hostPlatform } from "../../oci/platform.ts";
import { parseReference } from "../../oci/reference.ts";
import { codeOf, HullError } from "../../platform/errors.ts";
import { compressFile } from "../../registry/transfer/compress.ts";
import type { TransferMethod, TransferMethods } from "../../registry/transfer/protocol.ts";
import type { Transfers } from "../../registry/transfer/transfer-process.ts";
import { openWorkshop, type Workshop, writeDockerArchive } from "../images/archive-fixture.ts";
import { loadImages } from "../images/load.ts";
import { type PullStep, pullImage } from "./pull.ts";
import { type PushStep, pushImage } from "./push.ts";
import { RegistryHost } from "./registry-host.ts";

const NS = "test";
const signal = new AbortController().signal;
type Handlers = { readonly [M in TransferMethod]?: (params: TransferMethods[M]["params"]) => unknown };

/** A registry in memory, as the transfer process would show it. Before each answer everything that nothing holds is collected. */
class MemoryRegistry implements Transfers {
  readonly blobs = new Map<Digest, Buffer>();
  readonly manifests = new Map<string, { readonly mediaType: string; readonly bytes: Buffer }>();
  readonly asked: TransferMethod[] = [];
  failing: TransferMethod | undefined;

  constructor(private readonly shop: Workshop) {}

  readonly #handlers: Handlers = {
    head: ({ name }) => {
      const { mediaType, bytes } = this.#manifest(name);
      return { mediaType, digest: digestOf(bytes), size: bytes.length };
    },
    manifest: ({ name }) => {
      const { mediaType, bytes } = this.#manifest(name);
      return { mediaType, digest: digestOf(bytes), base64: bytes.toString("base64") };
    },
    document: ({ digest }) => ({ base64: this.blobs.get(digest)!.toString("base64") }),
    has: ({ digest }) => this.blobs.has(digest),
    mount: () => null,
    upload: ({ blob }) => {
      this.blobs.set(blob.digest, readFileSync(blob.path));
      return null;
    },
    download: async ({ blob }) => {
      const bytes = this.blobs.get(blob.digest);
      // The others have come before its failure ends them.
      if (!bytes) await delay(200);
      if (!bytes) throw new HullError("not-found", "blob unknown to registry", { facts: { status: 404 } });
      writeFileSync(blob.path, bytes);
      return null;
    },
    putManifest: ({ name, mediaType, base64 }) => {
      this.manifests.set(name, { mediaType, bytes: Buffer.from(base64, "base64") });
      return null;
    },
    compress: (params) => compressFile({ ...params, onBytes: () => {}, signal }),
  };

  async ask<M extends TransferMethod>(
    method: M,
    params: TransferMethods[M]["params"],
  ): Promise<TransferMethods[M]["result"]> {
    this.asked.push(method);
    await this.shop.tools.collector.collect();
    if (method === this.failing) throw new HullError("unavailable", `no ${method}`);
    const handler = this.#handlers[method] as (given: typeof params) => unknown;
    return (await handler(params)) as TransferMethods[M]["result"];
  }

  #manifest(name: string) {
    const found =
      this.manifests.get(name) ?? [...this.manifests.values()].find(({ bytes }) => digestOf(bytes) === name);
    if (!found)
      throw new HullError("not-found", "manifest unknown: manifest unknown", {
        facts: { status: 404, registryCode: "MANIFEST_UNKNOWN" },
      });
    return found;
  }
}

const NAME = "r.example/team/app:1";

async function withImage(shop: Workshop) {
  const directory = shop.scratch("image");
  writeDockerArchive(directory, { names: [NAME], layers: [{ a: "one" }, { b: "two" }] });
  const snapshotter = shop.tools.stores.snapshotters.default;
  const request = { namespace: NS, directory, snapshotter, platform: hostPlatform(), keepReplaced: true };
  for await (const _loaded of loadImages(shop.tools, request));
  const registry = new MemoryRegistry(shop);
  const host = new RegistryHost({ tools: shop.tools, transfers: registry, settingsPath: "" });
  return { registry, host, snapshotter };
}

async function push(shop: Workshop, host: RegistryHost): Promise<PushStep[]> {
  const steps: PushStep[] = [];
  const record = shop.tools.stores.images.get(NS, NAME);
  const reference = parseReference(NAME);
  await pushImage(host, {
    namespace: NS,
    reference,
    record,
    credentials: undefined,
    signal,
    tell: (step) => void steps.push(step),
  });
  return steps;
}

async function pull(shop: Workshop, host: RegistryHost, name = NAME) {
  const steps: PullStep[] = [];
  const pulled = await pullImage(host, {
    ...{
      namespace: NS,
      reference: parseReference(name),
      platform: undefined,
      credentials: undefined,
      onlyDigest: false,
      signal,
    },
    snapshotter: shop.tools.stores.snapshotters.default,
    tell: (step) => void steps.push(step),
  });
  return { pulled, states: steps.flatMap((step) => (step.kind === "layer" ? [step.state] : [])) };
}

const statesOf = (steps: readonly PushStep[]) => steps.map(({ state }) => state);

test("plain layers go out as gzip, and the name stands for what was pushed, also while everything loose is collected", async () => {
  await using shop = await openWorkshop();
  const { registry, host } = await withImage(shop);
  const steps = await push(shop, host);
  assert.equal(statesOf(steps).filter((state) => state === "pushed").length, 2);
  const { bytes } = registry.manifests.get("1")!;
  const manifest = JSON.parse(bytes.toString()) as Manifest;
  const resolved = await shop.tools.reader.resolve(NS, shop.tools.stores.images.get(NS, NAME).target, hostPlatform());
  assert.equal(resolved.target.digest, digestOf(bytes));
  for (const [i, layer] of manifest.layers.entries()) {
    assert.equal(layer.mediaType, mediaTypes.dockerLayerGzip);
    assert.equal(digestOf(gunzipSync(registry.blobs.get(layer.digest)!)), resolved.config.diffIds[i]);
  }
  registry.asked.length = 0;
  assert.deepEqual(statesOf(await push(shop, host)).filter((state) => state === "exists").length, 2);
  assert.ok(!registry.asked.includes("upload") && !registry.asked.includes("compress"));
});

test("a push that fails leaves the image as it was", async () => {
  await using shop = await openWorkshop();
  const { registry, host } = await withImage(shop);
  const before = shop.tools.stores.images.get(NS, NAME).target.digest;
  registry.failing = "putManifest";
  await assert.rejects(push(shop, host), (error) => codeOf(error) === "unavailable");
  assert.equal(shop.tools.stores.images.get(NS, NAME).target.digest, before);
  registry.failing = undefined;
  await push(shop, host);
});

test("what is pulled is whole, named by tag and digest, and nothing holds it but its names", async () => {
  await using shop = await openWorkshop();
  const { registry, host, snapshotter } = await withImage(shop);
  await push(shop, host);
  const { images, content, leases } = shop.tools.stores;
  const forget = async () => {
    for (const { name } of images.list(NS)) images.delete(NS, name);
    await shop.tools.collector.collect();
    shop.tools.reader.forget();
  };
  await forget();
  assert.deepEqual([content.list(NS), snapshotter.list(NS)], [[], []]);
  const first = await pull(shop, host);
  assert.deepEqual([first.pulled.name, first.pulled.changed], [NAME, true]);
  for (const state of ["pulling", "downloading", "verifying", "downloaded", "extracting", "pulled"] as const) {
    assert.ok(first.states.filter((one) => one === state).length >= 2, `${state} of ${first.states}`);
  }
  assert.deepEqual(
    images
      .list(NS)
      .map(({ name }) => name)
      .sort(),
    [NAME, `r.example/team/app@${first.pulled.digest}`],
  );
  assert.deepEqual(leases.list(NS), []);
  const second = await pull(shop, host);
  assert.deepEqual([second.pulled.changed, second.states], [false, ["exists", "exists"]]);
  assert.equal(registry.asked.filter((method) => method === "download").length, 2);
  await forget();
  assert.deepEqual([content.list(NS), snapshotter.list(NS)], [[], []]);
});

test("a pull that fails keeps what has arrived for the next one, which ends the hold", async () => {
  await using shop = await openWorkshop();
  const { registry, host, snapshotter } = await withImage(shop);
  await push(shop, host);
  const { images, content, leases } = shop.tools.stores;
  for (const { name } of images.list(NS)) images.delete(NS, name);
  await shop.tools.collector.collect();
  const [lost] = (JSON.parse(registry.manifests.get("1")!.bytes.toString()) as Manifest).layers.slice(1);
  const bytes = registry.blobs.get(lost!.digest)!;
  registry.blobs.delete(lost!.digest);
  await assert.rejects(pull(shop, host));
  await shop.tools.collector.collect();
  assert.equal(leases.list(NS).length, 1);
  assert.equal(content.list(NS).length, 1);
  assert.deepEqual(snapshotter.list(NS), []);
  registry.blobs.set(lost!.digest, bytes);
  registry.asked.length = 0;
  await pull(shop, host);
  assert.equal(registry.asked.filter((method) => method === "download").length, 1);
  assert.deepEqual(leases.list(NS), []);
});

test("pulls of one image at the same time fetch each blob once", async () => {
  await using shop = await openWorkshop();
  const { registry, host } = await withImage(shop);
  await push(shop, host);
  const { images } = shop.tools.stores;
  for (const { name } of images.list(NS)) images.delete(NS, name);
  await shop.tools.collector.collect();
  await Promise.all([pull(shop, host), pull(shop, host), pull(shop, host)]);
  assert.equal(registry.asked.filter((method) => method === "download").length, 2);
  await assert.rejects(
    pull(shop, host, "r.example/team/app:none"),
    /manifest for r\.example\/team\/app:none not found: manifest unknown/,
  );
});
