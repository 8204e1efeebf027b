import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { operation } from "./plan.ts";
import { type DnsQuestion, KeelServe } from "./serve.ts";
import { pauseClient, ShimClient } from "./shim-client.ts";
import { alive, stageOf, until } from "./shim-harness.ts";

const AF_INET = 2;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const NETLINK_ROUTE = 0;
const RTNLGRP_LINK = 1;

const directory = mkdtempSync(join(tmpdir(), "keel-relay-"));
const questions: DnsQuestion[] = [];
const netlink: { id: number; bytes: number }[] = [];
const options = {
  onQuestion: (question: DnsQuestion) => questions.push(question),
  onNetlink: (id: number, messages: Buffer) => netlink.push({ id, bytes: messages.length }),
};
let serve = await KeelServe.open(options);
after(async () => {
  await serve[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}

test("DNS questions by datagram and stream reach the daemon, also another one after it, and their answers go back", async () => {
  const port = await freePort();
  const address = `127.0.0.1:${port}`;
  const pauseSocket = join(directory, "p/relay");
  const container = {
    id: "relay",
    namespace: "test",
    stateDir: directory,
    pauseSocket,
    shimSocket: join(directory, "s/relay"),
  };
  const launched = await serve.launch({
    container,
    stdio: { stdin: "", stdout: "", stderr: "", spillDir: directory, spillBytes: 0 },
    host: [],
    pause: [
      operation("bindSocket", { slot: 0, family: AF_INET, type: SOCK_DGRAM, address }),
      operation("hold", { slot: 0, name: "udp" }),
      operation("bindSocket", { slot: 1, family: AF_INET, type: SOCK_STREAM, address }),
      operation("hold", { slot: 1, name: "tcp" }),
    ],
    stage: stageOf(["/bin/sleep", "1000"], { pidNamespace: true }),
  });
  try {
    await serve.relay(7, pauseSocket);
    await assert.rejects(serve.relay(7, pauseSocket), /EEXIST/);
    await askBoth(port, 7);
    await serve[Symbol.asyncDispose]();
    const asker = createSocket("udp4");
    asker.send("waits", port, "127.0.0.1"); // while nobody relays
    serve = await KeelServe.open(options);
    await serve.relay(8, pauseSocket);
    await until("the waiting question", () => questions.length > 0);
    assert.equal(questions.shift()?.payload.toString(), "waits");
    asker.close();
    await askBoth(port, 8);
    await serve.unrelay(8);
    await assert.rejects(serve.unrelay(8), /ENOENT/);
    await assert.rejects(serve.relay(9, join(directory, "p/none")), /ENOENT/);
  } finally {
    const shim = await ShimClient.open(container.shimSocket);
    await shim.kill({ signal: 9 });
    await shim.wait("", { signal: AbortSignal.timeout(5000) });
    await shim.shutdown({ pause: true });
    shim.close();
    await until("pause ends", async () => {
      await pauseClient.stop(pauseSocket, { signal: AbortSignal.timeout(1000) }).catch(() => undefined);
      return !alive(launched.pausePid);
    });
  }
});

async function askBoth(port: number, relayId: number): Promise<void> {
  const datagram = createSocket("udp4");
  datagram.send("question", port, "127.0.0.1");
  await until("a datagram", () => questions.length > 0);
  const first = questions.shift()!;
  assert.deepEqual([first.relayId, first.isTcp, first.payload.toString()], [relayId, false, "question"]);
  assert.match(first.address, /^127\.0\.0\.1:\d+$/);
  serve.answer(first, Buffer.from("answer"));
  assert.equal(String((await once(datagram, "message"))[0]), "answer");
  datagram.close();

  const stream = connect(port, "127.0.0.1");
  stream.write(Buffer.from([0]));
  stream.write(Buffer.from([3, 97, 98, 99, 0, 1, 100]));
  await until("two messages", () => questions.length > 1);
  assert.deepEqual(
    questions.map((question) => [question.isTcp, question.payload.toString()]),
    [
      [true, "abc"],
      [true, "d"],
    ],
  );
  serve.answer(questions[0]!, Buffer.from("tcp"));
  questions.length = 0;
  assert.deepEqual((await once(stream, "data"))[0], Buffer.from([0, 3, 116, 99, 112]));
  stream.destroy();
}

test("a watch of links tells when one is made", async () => {
  const name = `kw${process.pid}`.slice(0, 15);
  await serve.watch(5, NETLINK_ROUTE, 1 << (RTNLGRP_LINK - 1));
  try {
    execFileSync("ip", ["link", "add", name, "type", "veth", "peer", "name", `${name}p`.slice(0, 15)]);
    await until("a netlink message", () => netlink.some(({ id, bytes }) => id === 5 && bytes > 16));
  } finally {
    execFileSync("ip", ["link", "del", name]);
  }
  await assert.rejects(serve.watch(6, 200, 1), /EPROTONOSUPPORT/);
  await assert.rejects(serve.watch(6, NETLINK_ROUTE, 0), /EINVAL/);
});
