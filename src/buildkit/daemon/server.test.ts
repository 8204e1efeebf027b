import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { codeOf, HullError, messageOf } from "../../platform/errors.ts";
import { openLog } from "../../platform/log.ts";
import { Tracer } from "../../trace/tracer.ts";
import { answerOf, ask, jsonOf } from "../client.ts";
import { type Builder, BuilderServer } from "./server.ts";

const nothing: Builder = {
  build: () => Promise.reject(new HullError("invalid-argument", "a bad query")),
  cancel: () => false,
  configure: () => {},
  usage: async () => [],
  prune: async () => ({ CachesDeleted: null, SpaceReclaimed: 5 }),
  collect: async () => {},
  grpc: (socket) => void socket.destroy(),
  session: (_headers, socket) => void socket.destroy(),
  [Symbol.asyncDispose]: async () => {},
};

let directory: string;
before(() => {
  directory = mkdtempSync("/var/tmp/builder-server-");
});
after(() => rmSync(directory, { recursive: true }));

let count = 0;

async function serve(more: Partial<Builder> = {}, idleMs = 60_000) {
  const path = join(directory, `s${count++}`);
  const server = new BuilderServer({
    spans: () => [],
    builder: { ...nothing, ...more },
    tracer: new Tracer("test", { record: () => {} }),
    log: openLog({ name: "test", level: "fatal" }),
    startedAtMs: 0,
    idleMs,
  });
  const listener = createServer({ allowHalfOpen: true }, (socket) => server.accept(socket));
  await new Promise<void>((resolve) => listener.listen(path, resolve));
  return {
    server,
    open: () => connect(path),
    [Symbol.asyncDispose]: async () => {
      listener.close();
      await server.close();
    },
  };
}

test("a line of JSON is answered, a refusal with its status and words", async () => {
  await using served = await serve();
  using prune = await ask(served.open(), { kind: "prune" });
  assert.deepEqual(await jsonOf(prune), { CachesDeleted: null, SpaceReclaimed: 5 });
  using build = await ask(served.open(), { kind: "build" });
  await assert.rejects(answerOf(build), (error) => {
    assert.equal((error as HullError).facts.httpStatus, 400);
    assert.equal(messageOf(error), "a bad query");
    return true;
  });
});

test("an upgraded connection is raw after 101", async () => {
  const got = Promise.withResolvers<string>();
  const take = (socket: Socket, head: Buffer) => {
    if (head.length > 0) got.resolve(head.toString());
    socket.on("data", (data: Buffer) => got.resolve(data.toString()));
    socket.on("end", () => socket.end()).resume();
  };
  await using served = await serve({ grpc: take });
  const upgraded = await ask(served.open(), { kind: "grpc" });
  assert.equal((await answerOf(upgraded)).status, 101);
  const { socket } = upgraded.release();
  socket.write("raw");
  assert.equal(await got.promise, "raw");
  socket.destroy();
});

test("HTTP/2's first bytes are gRPC's", async () => {
  const got = Promise.withResolvers<string>();
  await using served = await serve(
    {
      grpc: (taken, head) => {
        taken.on("end", () => taken.end()).resume();
        got.resolve(head.toString());
      },
    },
    20,
  );
  const socket = served.open();
  socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  assert.match(await got.promise, /^PRI \* HTTP\/2\.0\r\n/);
  const patience = new Promise((resolve) => setTimeout(() => resolve("still at work"), 60));
  assert.equal(await Promise.race([served.server.idle, patience]), "still at work");
  socket.destroy();
  assert.equal(await served.server.idle, "no work");
});

test("work that goes on when the daemon ends is cancelled with the reason", async () => {
  const reason = Promise.withResolvers<unknown>();
  const served = await serve({
    build: ({ signal }) =>
      new Promise((_, reject) => {
        signal.addEventListener("abort", () => {
          reason.resolve(signal.reason);
          reject(signal.reason as Error);
        });
      }),
  });
  const build = await ask(served.open(), { kind: "build" });
  await served.server.close();
  assert.equal(codeOf(await reason.promise), "cancelled");
  build[Symbol.dispose]();
  await served[Symbol.asyncDispose]();
});

test("without work it is idle after a while; a connection that only holds is no work", async () => {
  await using served = await serve({}, 30);
  using _holding = await ask(served.open(), { kind: "hold" });
  assert.equal(await served.server.idle, "no work");
});
