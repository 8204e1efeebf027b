import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import http2 from "node:http2";
import { connect, createServer, type Server } from "node:net";
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
