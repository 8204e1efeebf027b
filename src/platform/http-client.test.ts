import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { codeOf } from "./errors.ts";
import { type HttpRequest, type HttpResponse, type RawStream, send, tell, upgrade } from "./http-client.ts";

const path = join(tmpdir(), `hull-http-client-${process.pid}.sock`);
const endpoint = { kind: "unix", path } as const;
let server: Server;
let connections = 0;
let received = "";
/** What the server does once a request's head is there. */
let answer: (socket: Socket) => void = () => {};
let lastWords = "";

before(async () => {
  server = createServer({ allowHalfOpen: true }, (socket) => {
    connections += 1;
    socket.on("error", () => {});
    socket.on("end", () => socket.end(lastWords));
    socket.on("data", (chunk) => {
      received += chunk.toString("latin1");
      if (received.includes("\r\n\r\n")) answer(socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
});

after(() => {
  server.close();
  rmSync(path, { force: true });
});

const ask = (request: Partial<HttpRequest> = {}) => {
  received = "";
  return send(endpoint, { method: "GET", path: "/x", ...request });
};

test("an answer with a length is read, and its connection carries the next request", async () => {
  answer = (socket) => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Name: v: w\r\n\r\nhello");
  const before = connections;
  const first = await ask();
  assert.equal(first.header("x-name"), "v: w");
  assert.equal(await first.text(), "hello");
  assert.equal(await (await ask()).text(), "hello");
  assert.equal(connections, before + 1);
});

test("an idle connection that the engine has closed is replaced, and nobody hears of it", async () => {
  answer = (socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  assert.equal(await (await ask()).text(), "ok");
  assert.equal(await (await ask()).text(), "ok");
});

test("connections opened ahead carry the requests that follow, at once", async () => {
  answer = (socket) => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  await (await ask()).text(); // whatever the tests before left idle
  const before = connections;
  answer = (socket) => setTimeout(() => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), 50);
  assert.equal(await (await ask({ ahead: 2 })).text(), "ok");
  assert.equal(connections, before + 2);
  answer = (socket) => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  const answers = await Promise.all([ask(), ask(), upgrade(endpoint, { method: "POST", path: "/x" })]);
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 200, 200],
  );
  assert.equal(connections, before + 2);
  await Promise.all([(answers[0] as HttpResponse).text(), (answers[1] as HttpResponse).text()]);
  (answers[2] as RawStream).stream[Symbol.dispose]();
});

test("a connection that can't be opened ahead is no failure of the request before it", async () => {
  answer = (socket) => {
    server.close();
    socket.end("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  };
  assert.equal(await (await ask({ ahead: 1 })).text(), "ok");
  await new Promise<void>((resolve) => server.listen(path, resolve));
});

test("chunks that arrive byte by byte are one body, and trailers end it", async () => {
  const text = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{"a"\r\n3;x=y\r\n:1}\r\n0\r\nT: 1\r\n\r\n';
  answer = async (socket) => {
    if (socket.writableEnded) return;
    answer = () => {};
    for (const byte of text) {
      socket.write(byte);
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  assert.deepEqual(await (await ask()).json(), { a: 1 });
});

test("an answer that is cut short is an error", async () => {
  answer = (socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhal");
  const response = await ask();
  await assert.rejects(response.text(), /cut short/);
  answer = (socket) => socket.end("HTTP/1.1 200");
  await assert.rejects(ask(), (error) => codeOf(error) === "unavailable");
});

test("a body that comes in pieces is sent in chunks, whole", async () => {
  const pieces = async function* () {
    for (let i = 0; i < 64; i += 1) yield Buffer.alloc(65536, 97 + (i % 26));
  };
  answer = (socket) => {
    if (received.endsWith("\r\n0\r\n\r\n")) socket.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  };
  assert.equal((await ask({ method: "PUT", body: pieces() })).status, 200);
  assert.match(received, /Transfer-Encoding: chunked/);
  assert.equal(received.match(/10000\r\n/g)?.length, 64);
});

test("an engine that refuses before it has read everything is heard", async () => {
  const endless = async function* () {
    for (;;) yield Buffer.alloc(65536);
  };
  answer = (socket) => {
    socket.pause();
    socket.write("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone");
    answer = () => {};
  };
  const response = await ask({ method: "PUT", body: endless() });
  assert.equal(response.status, 404);
  assert.equal(await response.text(), "gone");
});

test("a body that can't be read gives the request up with its reason", async () => {
  const broken = async function* () {
    yield Buffer.from("x");
    throw new Error("disk on fire");
  };
  answer = () => {};
  await assert.rejects(ask({ method: "PUT", body: broken() }), /disk on fire/);
});

test("an abort ends the wait for an answer", async () => {
  answer = () => {};
  const abort = new AbortController();
  const waiting = ask({ signal: abort.signal });
  abort.abort(new Error("enough"));
  await assert.rejects(waiting, /enough/);
});

test("nobody listening is unavailable", async () => {
  const nowhere = { kind: "unix", path: `${path}.none` } as const;
  await assert.rejects(send(nowhere, { method: "GET", path: "/" }), (error) => codeOf(error) === "unavailable");
});

test("bytes behind the head of an upgraded connection are its first bytes, and a half-close leaves it readable", async () => {
  answer = (socket) => {
    answer = () => {};
    socket.write("HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\n\r\nfirst");
    lastWords = " last";
  };
  received = "";
  const raw = await upgrade(endpoint, { method: "POST", path: "/attach" });
  assert.equal(raw.status, 101);
  raw.stream.end();
  let text = "";
  for await (const bytes of raw.stream) text += Buffer.from(bytes).toString();
  assert.equal(text, "first last");
});

test("what is told arrives though nobody waits for the answer", async () => {
  const told = new Promise<void>((resolve) => {
    answer = () => received.endsWith("spans") && resolve();
  });
  received = "";
  await tell(endpoint, { method: "POST", path: "/t", body: "spans" });
  await told;
  assert.match(received, /Connection: close/);
});
