import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type BridgeOptions, bridge } from "./bridge.ts";

interface Ends extends AsyncDisposable {
  /** Ours, paused as it comes from HTTP or from the shim. */
  readonly near: Socket;
  readonly far: Socket;
}

async function pair(): Promise<Ends> {
  const directory = mkdtempSync(join(tmpdir(), "hull-bridge-"));
  const path = join(directory, "s");
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }).listen(path);
  await once(server, "listening");
  const accepted = once(server, "connection") as Promise<[Socket]>;
  const near = connect({ path, allowHalfOpen: true });
  await once(near, "connect");
  near.pause();
  const [far] = await accepted;
  server.close();
  return {
    near,
    far,
    async [Symbol.asyncDispose]() {
      near.destroy();
      far.destroy();
      rmSync(directory, { recursive: true });
    },
  };
}

const noKeys: BridgeOptions = { stdin: true, detachKeys: undefined };

test("output that ended before the bridge was there is an end all the same", async () => {
  await using client = await pair();
  await using shim = await pair();
  shim.far.end();
  await once(shim.near, "end");
  const end = await bridge({ socket: client.near, head: Buffer.alloc(0), ended: false }, shim.near, noKeys);
  assert.equal(end, "output-ended");
});

test("a client's half-close before the bridge was there closes the process's stdin", async () => {
  await using client = await pair();
  await using shim = await pair();
  client.far.end();
  await once(client.near, "end");
  const bridged = bridge({ socket: client.near, head: Buffer.from("in"), ended: false }, shim.near, noKeys);
  const stdin: Buffer[] = [];
  shim.far.on("data", (chunk: Buffer) => stdin.push(chunk));
  await once(shim.far.resume(), "end");
  shim.far.end();
  assert.equal(await bridged, "output-ended");
  assert.equal(Buffer.concat(stdin).toString(), "in");
});

test("a client that went before the bridge was there ends it", async () => {
  await using client = await pair();
  await using shim = await pair();
  client.near.destroy();
  await once(client.near, "close");
  const end = await bridge({ socket: client.near, head: Buffer.alloc(0), ended: false }, shim.near, noKeys);
  assert.equal(end, "client-gone");
});
