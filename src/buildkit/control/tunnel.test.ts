import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Outgoing } from "../files/transfer/outgoing.ts";
import { Tunnel } from "./tunnel.ts";

const open = () => {
  const incoming = new Outgoing<{ data: Uint8Array }>();
  const abort = new AbortController();
  return { incoming, abort, tunnel: new Tunnel(incoming, abort.signal) };
};

async function sizes(tunnel: Tunnel): Promise<number[]> {
  const found: number[] = [];
  for await (const { data } of tunnel.outgoing()) found.push(data.length);
  return found;
}

test("messages are a connection's bytes in both directions, until both ends", async () => {
  const { incoming, tunnel } = open();
  incoming.push({ data: Buffer.from("from the ") });
  incoming.push({ data: Buffer.from("client") });
  incoming.end();
  const read: Buffer[] = [];
  for await (const chunk of tunnel.connection as AsyncIterable<Buffer>) read.push(chunk);
  assert.equal(Buffer.concat(read).toString(), "from the client");
});

test("what is written comes in messages of limited size", async () => {
  const { tunnel } = open();
  const reading = sizes(tunnel);
  tunnel.connection.write(Buffer.alloc(70_000));
  tunnel.connection.end("x");
  assert.deepEqual(await reading, [32_768, 32_768, 4_464, 1]);
});

test("who writes more than the call takes waits", async () => {
  const { tunnel } = open();
  let written = 0;
  const write = async (): Promise<void> => {
    for (let i = 0; i < 100; i++) {
      await new Promise<void>((resolve) => tunnel.connection.write(Buffer.alloc(32_768), () => resolve()));
      written++;
    }
    tunnel.connection.end();
  };
  const writing = write();
  await new Promise((resolve) => setImmediate(resolve));
  assert.ok(written < 70, String(written));
  assert.equal((await sizes(tunnel)).length, 100);
  await writing;
});

test("a call that is given up cuts the connection", async () => {
  const { abort, tunnel } = open();
  const closed = once(tunnel.connection, "close");
  abort.abort();
  await closed;
  assert.deepEqual(await sizes(tunnel), []);
});
