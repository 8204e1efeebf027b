import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import { test } from "node:test";
import * as packet from "dns-packet";
import { rcodeOf } from "./answer.ts";
import { askUpstream } from "./upstream.ts";

const query = packet.encode({ type: "query", id: 4711, questions: [{ type: "A", name: "x.test" }] });

/** A name server that answers with an rcode; -1: with somebody else's id first, then rightly. */
async function server(rcode: number): Promise<{ readonly port: number; readonly asked: number[] } & Disposable> {
  const socket = createSocket("udp4");
  const asked: number[] = [];
  socket.on("message", (message, from) => {
    asked.push(message.readUInt16BE(0));
    const answer = Buffer.from(message);
    answer.writeUInt16BE(0x8180 | Math.max(0, rcode), 2);
    const wrong = Buffer.from(answer);
    wrong.writeUInt16BE((answer.readUInt16BE(0) + 1) & 0xffff, 0);
    if (rcode < 0) socket.send(wrong, from.port, from.address);
    socket.send(answer, from.port, from.address);
  });
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  return { port: socket.address().port, asked, [Symbol.dispose]: () => socket.close() };
}

const at = (port: number) => ({ address: "127.0.0.1", port });

test("the asker's id comes back, another one went out, and foreign answers are not taken", async () => {
  using good = await server(-1);
  const reply = await askUpstream(query, [at(good.port)], false);
  assert.equal(reply?.readUInt16BE(0), 4711);
  assert.equal(rcodeOf(reply!), 0);
});

test("after SERVFAIL or REFUSED the next server is asked, and the failure is handed on when all fail", async () => {
  using failing = await server(2);
  using refusing = await server(5);
  using good = await server(0);
  assert.equal(rcodeOf((await askUpstream(query, [at(failing.port), at(refusing.port), at(good.port)], false))!), 0);
  assert.equal(rcodeOf((await askUpstream(query, [at(failing.port), at(refusing.port)], false))!), 5);
});

test("NXDOMAIN is an answer", async () => {
  using absent = await server(3);
  using good = await server(0);
  assert.equal(rcodeOf((await askUpstream(query, [at(absent.port), at(good.port)], false))!), 3);
  assert.equal(good.asked.length, 0);
});

test("a server that nobody runs is passed over at once, also one that no route leads to", async () => {
  using good = await server(0);
  const begin = performance.now();
  const nobody = [at(1), { address: "255.255.255.255", port: 53 }, at(good.port)];
  assert.equal(rcodeOf((await askUpstream(query, nobody, false))!), 0);
  assert.ok(performance.now() - begin < 3000);
  assert.equal(await askUpstream(query, [], false), undefined);
});

test("TCP questions go by TCP, answers in pieces are put together", async () => {
  const tcp = createServer((socket) => {
    socket.on("data", (chunk: Buffer) => {
      const answer = Buffer.from(chunk);
      answer.writeUInt16BE(0x8180, 4);
      socket.write(answer.subarray(0, 5));
      setTimeout(() => socket.write(answer.subarray(5)), 5);
    });
  });
  await new Promise<void>((resolve) => tcp.listen(0, "127.0.0.1", resolve));
  const { port } = tcp.address() as { port: number };
  const reply = await askUpstream(query, [at(port)], true);
  assert.equal(reply?.readUInt16BE(0), 4711);
  tcp.close();
});
