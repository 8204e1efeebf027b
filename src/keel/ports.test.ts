import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { createSocket, type Socket as Datagrams } from "node:dgram";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, unlinkSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { type BoundPort, PortsClient } from "../network/ports/ports-client.ts";
import { KeelServe } from "./serve.ts";
import { until } from "./shim-harness.ts";

const directory = mkdtempSync(join(tmpdir(), "keel-ports-"));
const path = join(directory, "ports.sock");
const serve = await KeelServe.open();
await serve.startPorts(path);
const client = await PortsClient.open(path, () => {});

function portsPid(): number | undefined {
  const isOurs = (pid: string) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").startsWith(`keel ports ${path}`);
    } catch {
      return false; // gone since the directory was read
    }
  };
  const found = readdirSync("/proc").find((name) => /^\d+$/.test(name) && isOurs(name));
  return found === undefined ? undefined : Number(found);
}

const servers: Server[] = [];
after(async () => {
  for (const port of await client.list()) await client.unbind(port.portId);
  await client.quit();
  client.close();
  await serve[Symbol.asyncDispose]();
  for (const server of servers) server.close();
  await until("keel ports ends", () => portsPid() === undefined);
  rmSync(directory, { recursive: true, force: true });
});

/** Listens on a free port of 127.0.0.1. */
async function target(onConnection: (socket: Socket) => void): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => {}); // a client that was cut off on purpose
    onConnection(socket);
  });
  servers.push(server.listen(0, "127.0.0.1"));
  await once(server, "listening");
  return (server.address() as { port: number }).port;
}

let nextId = 1n;
async function publish(targetPort: number, more: Partial<BoundPort> = {}): Promise<{ id: bigint; port: number }> {
  const id = nextId++;
  const wanted = { portId: id, proto: "tcp", family: 4, listenAddress: "127.0.0.1", listenPort: 0 } as const;
  return { id, port: await client.bind({ ...wanted, targetAddress: "127.0.0.1", targetPort, ...more }) };
}

async function collect(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  await once(socket, "end"); // not `for await`, which would close the other direction too
  return Buffer.concat(chunks);
}

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

test("bytes pass both ways and a half-closed client still gets its answer", async () => {
  const port = await target(async (socket) => {
    socket.end(sha256(await collect(socket)));
  });
  const published = await publish(port);
  const bytes = randomBytes(8 * 1024 * 1024);
  const socket = connect({ port: published.port, host: "127.0.0.1", allowHalfOpen: true });
  socket.end(bytes);
  assert.equal((await collect(socket)).toString(), sha256(bytes));
});

test("a stuck connection delays no other", async () => {
  const port = await target((socket) => {
    socket.once("data", (first) => {
      if (first.toString() === "stuck") socket.write(Buffer.alloc(32 * 1024 * 1024));
      else socket.end("quick");
    });
  });
  const published = await publish(port);
  const stuck = connect(published.port, "127.0.0.1");
  stuck.pause();
  stuck.write("stuck");
  const quick = connect(published.port, "127.0.0.1");
  quick.write("hello");
  assert.equal((await collect(quick)).toString(), "quick");
  stuck.destroy();
});

test("[::1] reaches an IPv4 target", async () => {
  const port = await target((socket) => socket.end("four"));
  const published = await publish(port, { family: 6, listenAddress: "::1" });
  assert.equal((await collect(connect(published.port, "::1"))).toString(), "four");
});

test("a target that refuses resets the client", async () => {
  const published = await publish(1);
  const socket = connect(published.port, "127.0.0.1");
  const [error] = (await once(socket, "error")) as [NodeJS.ErrnoException];
  assert.equal(error.code, "ECONNRESET");
});

test("an address in use is a conflict, the same port again is not", async () => {
  const port = await target((socket) => socket.end());
  const published = await publish(port);
  await assert.rejects(publish(port, { listenPort: published.port }), { code: "conflict" });
  const again = { portId: published.id, proto: "tcp", family: 4, listenAddress: "127.0.0.1", listenPort: 0 } as const;
  assert.equal(await client.bind({ ...again, targetAddress: "127.0.0.1", targetPort: port }), published.port);
  await assert.rejects(client.bind({ ...again, targetAddress: "127.0.0.2", targetPort: port }));
  await client.unbind(published.id);
  assert.equal((await publish(port, { listenPort: published.port })).port, published.port);
});

test("what cannot be bound is refused and changes nothing", async () => {
  const before = await client.list();
  const bad: Partial<BoundPort>[] = [
    { listenAddress: "not an address" },
    { targetAddress: "256.1.1.1" },
    { listenAddress: "192.0.2.1" },
  ];
  for (const more of bad) await assert.rejects(publish(1, more));
  assert.deepEqual(await client.list(), before);
});

async function datagrams(address = "127.0.0.1"): Promise<Datagrams> {
  const socket = createSocket("udp4");
  socket.bind(0, address);
  await once(socket, "listening");
  return socket;
}

test("datagrams of several clients find back, from the address that was asked", async () => {
  const server = await datagrams();
  server.on("message", (message, from) => server.send(`re:${message}`, from.port, from.address));
  const published = await publish(server.address().port, { proto: "udp", listenAddress: "0.0.0.0" });
  for (const asked of ["127.0.0.1", "127.0.0.3"]) {
    const [one, two] = [await datagrams(), await datagrams()];
    one.send("1", published.port, asked);
    two.send("2", published.port, asked);
    const [[first, from], [second]] = await Promise.all([once(one, "message"), once(two, "message")]);
    assert.deepEqual([String(first), String(second), from.address], ["re:1", "re:2", asked]);
    one.close();
    two.close();
  }
  server.close();
});

test("it outlives the coprocess that started it, and a second start finds it", async () => {
  const pid = portsPid();
  assert.ok(pid);
  const another = await KeelServe.open();
  await another.startPorts(path);
  await another[Symbol.asyncDispose]();
  assert.equal(portsPid(), pid);
  assert.match(readFileSync(`/proc/${pid}/comm`, "utf8"), /^keel-ports/);
  const held = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
  assert.equal(held.filter((name) => name.startsWith("pipe:")).length % 2, 0);
});

test("a deleted socket file is there again", async () => {
  unlinkSync(path);
  await until("the socket is back", () => existsSync(path));
  const other = await PortsClient.open(path, () => {});
  assert.deepEqual(await other.list(), await client.list());
  assert.equal(await other.quit(), false);
  other.close();
});
