import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { codeOf } from "./errors.ts";
import { FramedSocket } from "./framed-socket.ts";

interface Pair extends AsyncDisposable {
  readonly near: FramedSocket;
  readonly far: FramedSocket;
}

async function pair(): Promise<Pair> {
  const directory = mkdtempSync("/var/tmp/framed-");
  const path = join(directory, "socket");
  const accepted = Promise.withResolvers<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => accepted.resolve(socket));
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const near = new FramedSocket(connect(path), "the near end");
  const far = new FramedSocket(await accepted.promise, "the far end");
  return {
    near,
    far,
    [Symbol.asyncDispose]: async () => {
      near[Symbol.dispose]();
      far[Symbol.dispose]();
      server.close();
      rmSync(directory, { recursive: true });
    },
  };
}

async function all(source: FramedSocket): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of source) parts.push(part);
  return Buffer.concat(parts);
}

test("lines and frames come as they were sent, in both directions", async () => {
  await using ends = await pair();
  await ends.near.writeLine({ kind: "build" });
  await ends.near.write(Buffer.from("first"));
  await ends.near.write(Buffer.from("second"));
  await ends.near.writeEnd();
  await ends.near.writeLine({ after: true });
  assert.deepEqual(await ends.far.readLine(), { kind: "build" });
  assert.equal((await all(ends.far)).toString(), "firstsecond");
  assert.deepEqual(await ends.far.readLine(), { after: true });
  await ends.far.writeLine({ status: 200 });
  assert.deepEqual(await ends.near.readLine(), { status: 200 });
});

test("megabytes pass at the pace of a reader that begins late", async () => {
  await using ends = await pair();
  const piece = Buffer.alloc(300_000, 7);
  const sent = (async () => {
    for (let i = 0; i < 40; i++) await ends.near.write(piece);
    await ends.near.writeEnd();
  })();
  await new Promise((resolve) => setImmediate(resolve));
  const got = await all(ends.far);
  await sent;
  assert.equal(got.length, 40 * piece.length);
  assert.ok(got.every((byte) => byte === 7));
});

test("a connection that is cut before the end of its frames is an error, not an end", async () => {
  await using ends = await pair();
  await ends.near.write(Buffer.from("part"));
  ends.near[Symbol.dispose]();
  await assert.rejects(all(ends.far), (error) => codeOf(error) === "unavailable");
  assert.ok(ends.far.gone.aborted);
});

test("the first bytes can be looked at and are still there for the new owner of the socket", async () => {
  await using ends = await pair();
  await ends.near.writeLine("PRI * HTTP/2.0");
  assert.match((await ends.far.peek(5)).toString(), /^"PRI/);
  const { head } = ends.far.release();
  assert.equal(head.toString(), '"PRI * HTTP/2.0"\n');
});
