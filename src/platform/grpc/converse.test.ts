import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import http2 from "node:http2";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { HandlerContext } from "@connectrpc/connect";
import { FileSync } from "../../buildkit/gen/moby/filesync/v1/filesync_pb.ts";
import { HullError } from "../errors.ts";
import { GrpcRoutes } from "./server.ts";
import { GrpcTransport } from "./transport.ts";

const directory = mkdtempSync(join(tmpdir(), "hull-converse-"));
const socketPath = join(directory, "socket");
let server: Server;

before(async () => {
  const routes = new GrpcRoutes(() => ({ context: {} as HandlerContext, end: () => {} }));
  routes.service(FileSync, {
    // Says one thing, hears one, and fails while the other side would go on.
    diffCopy: async function* (packets) {
      yield { ID: 1 };
      for await (const { ID } of packets) throw new HullError("permission-denied", `no ${ID}`);
    },
  });
  const http = http2.createServer();
  http.on("stream", (stream, headers) => routes.onStream(stream, headers));
  server = createServer((socket) => void http.emit("connection", socket));
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
});
after(() => {
  server.close();
  rmSync(directory, { recursive: true });
});

/** A server that cuts each connection when it has come so far. */
async function cutting(when: "at once" | "after the first bytes" | "after the settings"): Promise<Server> {
  const cuts = createServer((socket) => {
    socket.on("error", () => undefined);
    if (when === "at once") socket.destroy();
    else if (when === "after the first bytes") socket.once("data", () => socket.destroy());
    else {
      socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
      socket.once("data", () => setTimeout(() => socket.destroy(), 20));
    }
  });
  await new Promise<void>((resolve) => cuts.listen(`${socketPath}-${when}`, resolve));
  return cuts;
}

for (const when of ["at once", "after the first bytes", "after the settings"] as const)
  test(`calls on a connection that ends ${when} fail, whatever they had come to`, async () => {
    const cuts = await cutting(when);
    const over = new AbortController();
    async function* ours() {
      yield { ID: 7 };
      await new Promise((resolve) => over.signal.addEventListener("abort", resolve));
    }
    try {
      const path = `${socketPath}-${when}`;
      await using transport = new GrpcTransport({ dial: () => connect(path), peer: "the server", headers: {} });
      const calls = Array.from({ length: 5 }, async () => {
        const options = { signal: undefined, headers: {} };
        for await (const { ID } of transport.converse(FileSync.method.diffCopy, options, ours())) assert.fail(`${ID}`);
      });
      for (const { status, reason } of (await Promise.allSettled(calls)) as PromiseRejectedResult[])
        assert.deepEqual([status, (reason as HullError).code], ["rejected", "unavailable"]);
    } finally {
      over.abort();
      cuts.close();
    }
  });

test("the end of a connection that was handed over paused is seen", async () => {
  const path = `${socketPath}-paused`;
  let accepted: Socket | undefined;
  const http = http2.createServer();
  http.on("stream", (stream) => stream.respond({ ":status": 200, "content-type": "application/grpc+proto" }));
  const paused = createServer((socket) => {
    accepted = socket;
    // As an upgrade: words of another protocol first.
    socket.once("data", () => {
      socket.write("upgraded");
      setImmediate(() => http.emit("connection", socket));
    });
  });
  await new Promise<void>((resolve) => paused.listen(path, resolve));
  const socket = connect(path);
  socket.write("upgrade");
  await new Promise((resolve) => socket.once("data", resolve));
  socket.pause();
  await using transport = new GrpcTransport({ dial: () => socket, peer: "the server", headers: {} });
  const options = { signal: undefined, headers: {} };
  const call = transport.converse(FileSync.method.diffCopy, options, (async function* () {})()).next();
  setTimeout(() => accepted!.destroy(), 50);
  await assert.rejects(call, { code: "unavailable" });
  paused.close();
});

test("a connection that had ended before the first call on it fails the call", async () => {
  const cuts = await cutting("at once");
  const socket = connect(`${socketPath}-at once`);
  await new Promise((resolve) => socket.resume().once("close", resolve));
  await using transport = new GrpcTransport({ dial: () => socket, peer: "the server", headers: {} });
  const options = { signal: undefined, headers: {} };
  const call = async () => transport.converse(FileSync.method.diffCopy, options, (async function* () {})()).next();
  await assert.rejects(call, { code: "unavailable", message: /^the server ended the connection/ });
  cuts.close();
});

test("a failure in the middle of a conversation is told although we had not finished", async () => {
  await using transport = new GrpcTransport({ dial: () => connect(socketPath), peer: "the server", headers: {} });
  const over = new AbortController();
  async function* ours() {
    yield { ID: 7 };
    await new Promise((resolve) => over.signal.addEventListener("abort", resolve));
  }
  const heard: number[] = [];
  const options = { signal: AbortSignal.timeout(5_000), headers: {} };
  await assert.rejects(
    async () => {
      for await (const { ID } of transport.converse(FileSync.method.diffCopy, options, ours())) heard.push(ID);
    },
    { code: "permission-denied", message: "no 7" },
  );
  assert.deepEqual(heard, [1]);
  over.abort();
});
