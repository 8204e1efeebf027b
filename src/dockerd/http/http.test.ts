import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { HullError } from "../../platform/errors.ts";
import { Tracer } from "../../trace/tracer.ts";
import { ApiServer } from "./api-server.ts";
import type { Route } from "./route.ts";
import { boolean, integer, list, struct, text } from "./shape.ts";

const shape = struct("CreateRequest", { Name: text, Memory: integer(), Env: list(text), Tty: boolean });
let aborted: Promise<void>;
let markAborted: () => void;

const routes: readonly Route[] = [
  { method: "GET", path: "/json", handler: (_request, response) => response.json(200, { a: "<&>" }) },
  {
    method: "GET",
    path: "/images/{name}/json",
    handler: (request, response) => response.text(200, request.param("name")),
  },
  { method: "GET", path: "/images/json", handler: (_request, response) => response.text(200, "list") },
  { method: "GET", path: "/new", since: "1.41", handler: (_request, response) => response.text(200, "new") },
  {
    method: "POST",
    path: "/decode",
    handler: async (request, response) => response.json(200, await request.json(shape)),
  },
  {
    method: "POST",
    path: "/hijack",
    handler: async (request, response) => {
      const asked = await request.json(struct("Start", { Detach: boolean }));
      const { socket, head, ended } = response.hijack("application/vnd.docker.raw-stream");
      socket.write(`${asked.Detach}:`);
      socket.write(head);
      if (ended) return void socket.end();
      socket.on("data", (chunk) => socket.write(chunk));
      socket.on("end", () => socket.end("bye"));
      socket.resume();
    },
  },
  {
    method: "GET",
    path: "/lines",
    handler: async (_request, response) => {
      const body = response.stream(200, "application/json");
      await body.line({ n: 1 });
      await body.line({ n: 2 });
    },
  },
  {
    method: "GET",
    path: "/wait",
    handler: async (request, response) => {
      const stream = response.stream(200, "text/plain");
      await new Promise<void>((resolve) => request.signal.addEventListener("abort", () => resolve()));
      markAborted();
      await stream.write("late");
    },
  },
  {
    method: "GET",
    path: "/fail",
    handler: () => {
      throw new HullError("conflict", "no & <way>");
    },
  },
];

const directory = mkdtempSync(join(tmpdir(), "hull-http-"));
const path = join(directory, "s");
const api = new ApiServer({
  routes,
  tracer: new Tracer("test", { record: () => {} }),
  serverVersion: "1",
  onFailure: () => {},
});
const server = net.createServer({ allowHalfOpen: true }, (socket) => api.accept(socket));

before(() => new Promise<void>((resolve) => void server.listen(path, resolve)));
after(() => {
  api.closeAll();
  server.close();
  rmSync(directory, { recursive: true });
});

/** Sends bytes in pieces; resolves with everything received when the server ends. */
function exchange(...pieces: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ path, allowHalfOpen: true });
    let received = "";
    socket.on("data", (chunk) => {
      received += chunk.toString();
    });
    socket.on("end", () => {
      socket.end();
      resolve(received);
    });
    socket.on("error", reject);
    for (const piece of pieces) socket.write(piece);
    socket.end();
  });
}

const get = (target: string, extra = "") =>
  exchange(`GET ${target} HTTP/1.1\r\nHost: d\r\nConnection: close\r\n${extra}\r\n`);
const post = (target: string, body: string, type = "application/json") =>
  exchange(
    `POST ${target} HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Type: ${type}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
const bodyOf = (answer: string): string => answer.slice(answer.indexOf("\r\n\r\n") + 4);
const statusOf = (answer: string): number => Number(answer.split(" ")[1]);

test("an answer carries Docker's headers and unescaped JSON with a newline", async () => {
  const answer = await get("/v1.44/json");
  assert.equal(statusOf(answer), 200);
  assert.match(answer, /Api-Version: 1\.51\r\n/);
  assert.match(answer, /Ostype: linux\r\n/);
  assert.equal(bodyOf(answer), '{"a":"<&>"}\n');
});

test("a parameter may hold slashes and a literal path wins over it", async () => {
  assert.equal(bodyOf(await get("/images/a/b:1/json")), "a/b:1");
  assert.equal(bodyOf(await get("/images/json")), "list");
});

const refusals: readonly (readonly [string, number, string])[] = [
  ["/v1.99/json", 400, '{"message":"client version 1.99 is too new. Maximum supported API version is 1.51"}\n'],
  [
    "/v1.12/json",
    400,
    "client version 1.12 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version\n",
  ],
  ["/nowhere", 404, '{"message":"page not found"}\n'],
  ["/v1.40/new", 404, '{"message":"page not found"}\n'],
  ["/fail", 409, '{"message":"no & <way>"}\n'],
];
for (const [target, status, body] of refusals) {
  test(`${target} is refused with ${status} in Docker's words`, async () => {
    const answer = await get(target);
    assert.equal(statusOf(answer), status);
    assert.equal(bodyOf(answer), body);
  });
}

test("a connection serves several requests, pipelined ones in order", async () => {
  const one = "GET /images/json HTTP/1.1\r\nHost: d\r\n\r\n";
  const answer = await exchange(one + one, "GET /json HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n");
  assert.equal(answer.match(/HTTP\/1\.1 200 OK/g)?.length, 3);
  assert.ok(answer.endsWith('{"a":"<&>"}\n'));
});

test("a body arrives by length and chunked", async () => {
  const chunked =
    "POST /decode HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
  assert.match(await exchange(chunked, '5\r\n{"nam\r\n7;x=y\r\ne":"a"}\r\n0\r\n\r\n'), /"Name":"a"/);
  assert.match(
    await post("/decode", '{"NAME":"b","unknown":[1],"Env":null}'),
    /"Name":"b","Memory":0,"Env":\[\],"Tty":false/,
  );
});

const malformed: readonly (readonly [string, string, RegExp])[] = [
  [
    "a wrong type",
    '{"Memory":"x"}',
    /cannot unmarshal string into Go struct field CreateRequest\.Memory of type int64/,
  ],
  ["truncated JSON", '{"Name":', /invalid JSON: unexpected EOF/],
  ["a stray character", '{"Name": x}', /invalid JSON: invalid character 'x' looking for beginning of value/],
  ["two values", "{} {}", /unexpected content after JSON/],
  ["an array for an object", "[]", /cannot unmarshal array into Go value of type/],
];
for (const [what, body, message] of malformed) {
  test(`${what} in a body is refused with 400`, async () => {
    const answer = await post("/decode", body);
    assert.equal(statusOf(answer), 400);
    assert.match(bodyOf(answer), message);
  });
}

test("a body that is no JSON by its type is refused", async () => {
  const answer = await post("/decode", "{}", "text/plain");
  assert.equal(statusOf(answer), 400);
  assert.match(answer, /unsupported Content-Type header \(text\/plain\): must be 'application\/json'/);
});

test("a head above a mebibyte is answered 431, a malformed one 400", async () => {
  assert.equal(statusOf(await get("/json", `X-Big: ${"x".repeat(1024 * 1024)}\r\n`)), 431);
  assert.equal(statusOf(await get("/json", `X-Large: ${"x".repeat(900 * 1024)}\r\n`)), 200);
  assert.equal(statusOf(await exchange("nonsense\r\n\r\n")), 400);
  assert.equal(statusOf(await exchange("POST /decode HTTP/1.1\r\nContent-Length: x\r\n\r\n")), 400);
});

test("a request cut short in its body is refused and changes nothing", async () => {
  const head = "POST /decode HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n";
  assert.equal(statusOf(await exchange(head, '{"Name"')), 400);
});

test("a client that sends a large body nobody wants still gets its answer", async () => {
  const body = "x".repeat(8 * 1024 * 1024);
  const head = `GET /fail HTTP/1.1\r\nHost: d\r\nContent-Length: ${body.length}\r\n\r\n`;
  assert.equal(statusOf(await exchange(head, body)), 409);
});

const hijackHead = (upgrade: string) =>
  `POST /hijack HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n${upgrade}Content-Length: 15\r\n\r\n{"Detach":true}`;

test("a connection is taken over after its JSON body, with 101 when asked and as a raw 200 when not", async () => {
  const upgraded = await exchange(hijackHead("Connection: Upgrade\r\nUpgrade: tcp\r\n"), "stdin");
  assert.ok(upgraded.startsWith("HTTP/1.1 101 UPGRADED\r\n"));
  assert.match(upgraded, /Upgrade: tcp\r\n\r\ntrue:stdin/);
  const raw = await exchange(hijackHead(""));
  assert.match(raw, /^HTTP\/1\.1 200 OK\r\nContent-Type: application\/vnd\.docker\.raw-stream\r\n\r\ntrue:/);
});

test("a kept connection can be taken over by a later request, and a half-close is an end of input", async () => {
  const socket = net.connect({ path, allowHalfOpen: true });
  let received = "";
  const until = (wanted: string) =>
    new Promise<void>((resolve) => {
      const check = () => received.includes(wanted) && resolve();
      socket.on("data", check);
      check();
    });
  socket.on("data", (chunk) => {
    received += chunk.toString();
  });
  socket.write("GET /images/json HTTP/1.1\r\nHost: d\r\n\r\n");
  await until("list");
  socket.write(hijackHead("Connection: Upgrade\r\nUpgrade: tcp\r\n"));
  await until("true:");
  socket.write("more");
  await until("more");
  socket.end();
  await until("bye");
});

test("a stream is chunked and ends, and old clients get it by the connection's end", async () => {
  assert.equal(bodyOf(await get("/lines")), '8\r\n{"n":1}\n\r\n8\r\n{"n":2}\n\r\n0\r\n\r\n');
  assert.equal(bodyOf(await exchange("GET /lines HTTP/1.0\r\n\r\n")), '{"n":1}\n{"n":2}\n');
});

test("a handler hears that its client has gone", async () => {
  aborted = new Promise((resolve) => {
    markAborted = resolve;
  });
  const socket = net.connect({ path });
  socket.write("GET /wait HTTP/1.1\r\nHost: d\r\n\r\n");
  await new Promise((resolve) => socket.once("data", resolve));
  socket.destroy();
  await aborted;
});
