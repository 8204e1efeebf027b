import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { digestOf } from "../../oci/digest.ts";
import { codeOf, messageOf } from "../../platform/errors.ts";
import { type BlobDownload, downloadBlob } from "./blob-download.ts";
import { FakeRegistry, openRepository, refuse } from "./fake-registry.ts";

const sent = (response: ServerResponse, body: string | Buffer): true => {
  response.end(body);
  return true;
};

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(process.env.TMPDIR ?? "/tmp", "hull-registry-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const layer = randomBytes(3_000_000);
const digest = digestOf(layer);
const file = (): string => join(directory, "blob");
const download = (more: Partial<BlobDownload> = {}): BlobDownload => ({
  digest,
  size: layer.length,
  path: file(),
  onBytes: () => {},
  onRetry: () => {},
  attempts: 5,
  random: () => -1 + 1e-9, // No waiting: full / 2 - full / 2.
  ...more,
});

/** Breaks the connection off after so many bytes of each answer. */
const cutting = (bytes: number) =>
  FakeRegistry.start((request, response) => {
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
    const range = from === 0 ? {} : { "Content-Range": `bytes ${from}-${layer.length - 1}/${layer.length}` };
    response.writeHead(from === 0 ? 200 : 206, { "Content-Length": layer.length - from, ...range });
    response.write(layer.subarray(from, from + bytes), () =>
      from + bytes >= layer.length ? response.end() : response.destroy(),
    );
    return true;
  });

test("a download that breaks off at every tenth goes on where it was", async () => {
  await using registry = await cutting(layer.length / 10);
  await downloadBlob(await openRepository(registry), download());
  assert.deepEqual(readFileSync(file()), layer);
  const ranges = registry.seen.map(({ headers }) => headers.range);
  assert.equal(ranges[0], undefined);
  assert.ok(
    ranges.length >= 10 && ranges.slice(1).every((range) => /^bytes=[1-9]\d*-$/.test(range ?? "")),
    String(ranges),
  );
});

test("what an earlier process left is the beginning", async () => {
  await using registry = await FakeRegistry.start();
  registry.put(layer);
  writeFileSync(file(), layer.subarray(0, 1_000_000));
  await downloadBlob(await openRepository(registry), download());
  assert.deepEqual(readFileSync(file()), layer);
  assert.equal(registry.seen[0]!.headers.range, "bytes=1000000-");
});

test("a registry without ranges sends all of it again", async () => {
  await using registry = await FakeRegistry.start((_request, response) => sent(response, layer));
  writeFileSync(file(), layer.subarray(0, 1_000_000));
  await downloadBlob(await openRepository(registry), download());
  assert.deepEqual(readFileSync(file()), layer);
});

test("wrong bytes are refused, and nothing of them is left to go on with", async () => {
  const wrong = Buffer.from(layer);
  wrong[1_234_567]! ^= 1;
  await using registry = await FakeRegistry.start((_request, response) => sent(response, wrong));
  await assert.rejects(downloadBlob(await openRepository(registry), download()), (error) => {
    assert.equal(messageOf(error), `filesystem layer verification failed for digest ${digest}`);
    return codeOf(error) === "invalid-argument";
  });
  assert.equal(statSync(file()).size, 0);
});

test("a file that was spoilt before is found out by its hash", async () => {
  await using registry = await FakeRegistry.start();
  registry.put(layer);
  writeFileSync(file(), randomBytes(1_000_000));
  await assert.rejects(downloadBlob(await openRepository(registry), download()), /verification failed/);
  await downloadBlob(await openRepository(registry), download());
  assert.deepEqual(readFileSync(file()), layer);
});

test("more bytes than the manifest says are not taken", async () => {
  await using registry = await FakeRegistry.start((_request, response) =>
    sent(response, Buffer.concat([layer, layer])),
  );
  await assert.rejects(downloadBlob(await openRepository(registry), download()), /has more than the 3000000 bytes/);
  assert.equal(statSync(file()).size, 0);
});

test("fewer bytes than the manifest says are an error after the attempts are used up", async () => {
  const short = layer.subarray(0, 100);
  await using registry = await FakeRegistry.start((request, response) => {
    if (request.headers.range) response.writeHead(416).end();
    else response.end(short);
    return true;
  });
  await assert.rejects(
    downloadBlob(await openRepository(registry), download({ attempts: 3 })),
    (error) => codeOf(error) === "unavailable",
  );
});

test("trouble of the registry is waited out, and the wait is told", async () => {
  let left = 2;
  await using registry = await FakeRegistry.start((_request, response) => {
    if (left-- <= 0) return false;
    refuse(response, 503, "UNAVAILABLE", "busy");
    return true;
  });
  registry.put(layer);
  const waits: number[] = [];
  await downloadBlob(await openRepository(registry), download({ onRetry: (seconds) => waits.push(seconds) }));
  assert.equal(waits.length, 2);
});

test("a pull limit is told with what is left, and a long Retry-After is not sat through", async () => {
  const headers = { "ratelimit-limit": "100;w=21600", "ratelimit-remaining": "0;w=21600", "retry-after": "3600" };
  await using registry = await FakeRegistry.start((_request, response) => {
    refuse(response, 429, "TOOMANYREQUESTS", "You have reached your pull rate limit", headers);
    return true;
  });
  await assert.rejects((await openRepository(registry)).getManifest("latest"), (error) => {
    assert.equal(
      messageOf(error),
      "toomanyrequests: You have reached your pull rate limit (0 of 100 pulls left for 6 h)",
    );
    return codeOf(error) === "resource-exhausted";
  });
  assert.equal(registry.seen.length, 1);
});

test("a manifest by digest is that manifest", async () => {
  await using registry = await FakeRegistry.start((_request, response) => sent(response, "{}"));
  await assert.rejects((await openRepository(registry)).getManifest(digest), /manifest verification failed for digest/);
});

test("an endless manifest is not read to its end", async () => {
  await using registry = await FakeRegistry.start((_request, response) => {
    const more = (): void =>
      void (response.destroyed || (response.write(layer) ? setImmediate(more) : response.once("drain", more)));
    more();
    return true;
  });
  await assert.rejects(
    (await openRepository(registry)).getManifest("x"),
    (error) => codeOf(error) === "resource-exhausted",
  );
});

test("mirrors are asked first, without credentials, and what they lack comes from the registry", async () => {
  await using mirror = await FakeRegistry.start();
  await using registry = await FakeRegistry.start();
  registry.put(layer);
  const settings = { mirrors: { [registry.host]: [`http://${mirror.host}/`] } };
  const repository = await openRepository(registry, {
    settings,
    credentials: { username: "u", password: "p", identityToken: "", registryToken: "r" },
  });
  await downloadBlob(repository, download());
  assert.equal(mirror.seen[0]!.headers.authorization, undefined);
  assert.equal(registry.seen[0]!.headers.authorization, "Bearer r");
  mirror.put(layer);
  rmSync(file());
  registry.seen.length = 0;
  await downloadBlob(repository, download());
  assert.deepEqual(registry.seen, []);
});

test("wrong bytes of a mirror are made good by the registry", async () => {
  await using mirror = await FakeRegistry.start((_request, response) => sent(response, randomBytes(layer.length)));
  await using registry = await FakeRegistry.start();
  registry.put(layer);
  await downloadBlob(
    await openRepository(registry, { settings: { mirrors: { [registry.host]: [`http://${mirror.host}/`] } } }),
    download(),
  );
  assert.deepEqual(readFileSync(file()), layer);
});
