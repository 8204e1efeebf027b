import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { digestOf } from "../../oci/digest.ts";
import { hasBlob, mountBlob, uploadBlob } from "./blob-upload.ts";
import { FakeRegistry, openRepository, refuse } from "./fake-registry.ts";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(process.env.TMPDIR ?? "/tmp", "hull-registry-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const layer = randomBytes(3_000_000);
const digest = digestOf(layer);

interface Uploads {
  received: Buffer;
  finished: boolean;
}

/** Takes uploads; the first one is cut off after `cutAfter` bytes. */
async function uploadRegistry(state: Uploads, cutAfter: number) {
  const collect = async (request: IncomingMessage, most: number): Promise<boolean> => {
    for await (const piece of request) {
      state.received = Buffer.concat([state.received, piece as Buffer]);
      if (state.received.length < most) continue;
      state.received = state.received.subarray(0, most);
      return false;
    }
    return true;
  };
  let isFirst = true;
  return FakeRegistry.start(async (request, response) => {
    const where = { Location: "/v2/team/app/blobs/uploads/1?_state=x" };
    if (request.method === "POST") response.writeHead(202, where).end();
    else if (request.method === "GET")
      response.writeHead(204, { ...where, Range: `0-${state.received.length - 1}` }).end();
    else if (["PUT", "PATCH"].includes(request.method!)) {
      const most = isFirst ? cutAfter : Number.POSITIVE_INFINITY;
      isFirst = false;
      if (!(await collect(request, most))) response.destroy();
      else {
        state.finished ||= request.method === "PUT" && request.url!.includes(encodeURIComponent(digest));
        response.writeHead(request.method === "PUT" ? 201 : 202, where).end();
      }
    } else return false;
    return true;
  });
}

function upload() {
  const path = join(directory, "blob");
  writeFileSync(path, layer);
  return { digest, size: layer.length, path, onBytes: () => {}, onRetry: () => {}, random: () => -1 + 1e-9 };
}

test("a blob is sent in one request with its length", async () => {
  const state = { received: Buffer.alloc(0), finished: false };
  await using registry = await uploadRegistry(state, Number.POSITIVE_INFINITY);
  await uploadBlob(await openRepository(registry), upload());
  assert.deepEqual([state.received.equals(layer), state.finished], [true, true]);
  const put = registry.seen.find(({ method }) => method === "PUT");
  assert.equal(put?.headers["content-length"], String(layer.length));
});

test("an upload that breaks off goes on where the registry is", async () => {
  const state = { received: Buffer.alloc(0), finished: false };
  await using registry = await uploadRegistry(state, 1_000_000);
  await uploadBlob(await openRepository(registry), upload());
  assert.deepEqual([state.received.equals(layer), state.finished], [true, true]);
  const patch = registry.seen.find(({ method }) => method === "PATCH");
  assert.equal(patch?.headers["content-range"], `1000000-${layer.length - 1}`);
});

test("a blob that is there is not sent, one of another repository is mounted", async () => {
  await using registry = await FakeRegistry.start((request, response) => {
    if (request.method !== "POST") return false;
    const from = new URL(request.url!, "http://x").searchParams.get("from");
    if (from === "secret/app") refuse(response, 403, "DENIED", "requested access to the resource is denied");
    else response.writeHead(from === "other/app" ? 201 : 202, { Location: "/v2/team/app/blobs/uploads/9" }).end();
    return true;
  });
  registry.put(layer);
  const repository = await openRepository(registry);
  assert.deepEqual([await hasBlob(repository, digest), await hasBlob(repository, digestOf("x"))], [true, false]);
  assert.equal(await mountBlob(repository, digest, ["secret/app", "third/app", "other/app"]), "other/app");
  assert.equal(await mountBlob(repository, digest, ["third/app"]), undefined);
  assert.ok(registry.asked("DELETE").length >= 1, "a session that a mount opened in vain is ended");
});
