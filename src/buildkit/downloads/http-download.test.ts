import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync, unlinkSync } from "node:fs";
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { KeelServe } from "../../keel/serve.ts";
import { codeOf, messageOf } from "../../platform/errors.ts";
import { ContextReceiver } from "../context/receive.ts";
import type { FileEntry, FileTree } from "../files/entry.ts";
import type { Secrets } from "../solver/ports.ts";
import { type Fetching, HttpDownloads } from "./http-download.ts";
import { HttpRecords } from "./http-records.ts";
import { proxyFor } from "./proxies.ts";

let keel: KeelServe;
let directory: string;
before(async () => {
  keel = await KeelServe.open();
  directory = mkdtempSync(join(tmpdir(), "hull-http-"));
});
after(async () => {
  await keel[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

interface Server extends Disposable {
  readonly url: string;
  readonly seen: IncomingMessage[];
}

async function serve(answer: RequestListener): Promise<Server> {
  const seen: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    seen.push(request);
    answer(request, response);
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${port}`, seen, [Symbol.dispose]: close };
}

const secretsOf = (values: Readonly<Record<string, string>>): Secrets => ({
  secret: async (id) => (values[id] === undefined ? undefined : Buffer.from(values[id])),
  sshAgent: async () => undefined,
});

const fetching = (more: Partial<Fetching> = {}): Fetching => ({
  secrets: secretsOf({}),
  proxies: {},
  onProgress: () => {},
  signal: AbortSignal.timeout(30_000),
  ...more,
});

let stores = 0;
/** One store with what it remembers, as a builder has it. */
function newStore(stallMs?: number, authorities?: readonly string[]) {
  const own = join(directory, String(stores++));
  const contexts = new ContextReceiver({ keel, directory: join(own, "contexts"), warn: () => {} });
  const objects = join(own, "contexts/objects");
  const records = new HttpRecords(join(own, "urls"), objects);
  const open = () =>
    new HttpDownloads({
      ...{ records, objects, receive: contexts.receiveWritten.bind(contexts) },
      ...(stallMs !== undefined && { stallMs }),
      ...(authorities && { authorities }),
    });
  const bytesOf = ({ entries: [entry] }: FileTree): Buffer => readFileSync(records.objectOf(entry!));
  return { open, records, bytesOf };
}

const sha256 = (bytes: Buffer): string => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
const file = (url: string, checksum = "") => ({ url, checksum, fileName: "file.bin" });
const MODIFIED = "Wed, 21 Oct 2015 07:28:00 GMT";

test("a download is a file of mode 0600 with the server's time, whatever its size is said to be", async () => {
  const body = randomBytes(3_000_001);
  using server = await serve((_, response) => {
    response.setHeader("Last-Modified", MODIFIED);
    response.write(body.subarray(0, 1000));
    response.end(body.subarray(1000));
  });
  const store = newStore();
  const told: number[] = [];
  const tree = await store.open().tree(file(`${server.url}/a`), fetching({ onProgress: (bytes) => told.push(bytes) }));
  const [entry] = tree.entries as [FileEntry];
  assert.equal(tree.entries.length, 1);
  assert.deepEqual(
    { path: entry.path, kind: entry.kind, mode: entry.mode, uid: entry.uid, size: entry.size },
    { path: "file.bin", kind: "file", mode: 0o600, uid: 0, size: body.length },
  );
  assert.equal(entry.mtimeNs, BigInt(Date.parse(MODIFIED)) * 1_000_000n);
  assert.ok(store.bytesOf(tree).equals(body));
  assert.equal(told.at(-1), body.length);
});

test("a URL that has not changed is asked about, not fetched again; one that has is", async () => {
  let etag = '"one"';
  let body = "first";
  using server = await serve((request, response) => {
    response.setHeader("ETag", etag);
    if (request.headers["if-none-match"] === etag) response.writeHead(304).end();
    else response.end(body);
  });
  const store = newStore();
  const text = async () => store.bytesOf(await store.open().tree(file(server.url), fetching())).toString();
  assert.equal(await text(), "first");
  body = "not asked for";
  assert.equal(await text(), "first");
  assert.equal(server.seen[1]!.headers["if-none-match"], '"one"');
  etag = '"two"';
  assert.equal(await text(), "not asked for");
  const { entries } = await store.open().tree(file(server.url), fetching());
  unlinkSync(store.records.objectOf(entries[0]!));
  assert.equal(await text(), "not asked for", "whose object has gone is fetched again");
});

test("a server that repeats its tag without saying not modified is not read again", async () => {
  using server = await serve((_, response) => void response.setHeader("ETag", 'W/"x"').end(`${server.seen.length}`));
  const store = newStore();
  for (let i = 0; i < 2; i++)
    assert.equal(store.bytesOf(await store.open().tree(file(server.url), fetching())).toString(), "1");
});

test("a checksum is held against what came; one that is known is not asked for", async () => {
  const body = Buffer.from("checked");
  using server = await serve((_, response) => void response.end(body));
  const store = newStore();
  const wrong = sha256(Buffer.from("other"));
  await assert.rejects(store.open().tree(file(server.url, wrong), fetching()), (error) => {
    assert.equal(codeOf(error), "failed-precondition");
    assert.match(messageOf(error), /digest mismatch for .*: sha256:[0-9a-f]{64} \(expected: sha256:[0-9a-f]{64}\)/);
    return true;
  });
  await store.open().tree(file(server.url, sha256(body)), fetching());
  assert.equal(server.seen.length, 1);
});

test("a connection that is cut goes on where it was", async () => {
  const body = randomBytes(1_000_000);
  using server = await serve((request, response) => {
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
    const range = from === 0 ? {} : { "Content-Range": `bytes ${from}-${body.length - 1}/${body.length}` };
    response.writeHead(from === 0 ? 200 : 206, { ETag: '"strong"', "Content-Length": body.length - from, ...range });
    response.write(body.subarray(from, from + 300_000), () =>
      from + 300_000 >= body.length ? response.end() : setTimeout(() => response.destroy(), 20),
    );
  });
  const store = newStore();
  assert.ok(store.bytesOf(await store.open().tree(file(server.url), fetching())).equals(body));
  const ranged = server.seen.filter(({ headers }) => headers.range !== undefined);
  assert.ok(ranged.length > 0 && ranged.every(({ headers }) => headers["if-range"] === '"strong"'));
});

test("a server without ranges is asked anew; one that always cuts fails the download, of which nothing stays", async () => {
  const body = randomBytes(200_000);
  let cuts = 1;
  const answer = (_: IncomingMessage, response: ServerResponse): void => {
    response.writeHead(200, { "Content-Length": body.length });
    if (cuts-- > 0) response.write(body.subarray(0, 100_000), () => response.destroy());
    else response.end(body);
  };
  using server = await serve(answer);
  const store = newStore();
  assert.ok(store.bytesOf(await store.open().tree(file(server.url), fetching())).equals(body));
  cuts = 100;
  await assert.rejects(store.open().tree(file(`${server.url}/other`), fetching()), (error) => {
    assert.equal(codeOf(error), "unavailable");
    return true;
  });
  assert.equal(await store.records.find(`${server.url}/other`), undefined);
});

for (const [status, code] of [
  [404, "not-found"],
  [401, "unauthenticated"],
  [403, "permission-denied"],
  [500, "unavailable"],
  [400, "failed-precondition"],
] as const)
  test(`status ${status} is ${code}, and says so`, async () => {
    using server = await serve((_, response) => void response.writeHead(status).end("page"));
    await assert.rejects(
      newStore()
        .open()
        .tree(file(`${server.url}/x`), fetching()),
      (error) => {
        assert.equal(codeOf(error), code);
        assert.match(messageOf(error), new RegExp(`^download http://.*/x: invalid response status ${status}`));
        return true;
      },
    );
  });

test("redirects are followed; credentials stay with the host they are for", async () => {
  using other = await serve((request, response) => void response.end(request.headers.authorization ?? "none"));
  using server = await serve((request, response) => {
    if (request.url === "/here") response.end(request.headers.authorization ?? "none");
    else response.writeHead(302, { Location: request.url === "/away" ? `${other.url}/x` : "/here" }).end();
  });
  const store = newStore();
  const secrets = secretsOf({ "HTTP_AUTH_TOKEN_127.0.0.1": "t0ken\n" });
  const text = async (path: string) =>
    store.bytesOf(await store.open().tree(file(`${server.url}${path}`), fetching({ secrets }))).toString();
  assert.equal(await text("/start"), "Bearer t0ken");
  assert.equal(await text("/away"), "none");
  assert.equal(server.seen[0]!.headers["accept-encoding"], "identity");
});

test("a circle of redirects and one to another scheme end the download", async () => {
  using server = await serve((request, response) => {
    response.writeHead(301, { Location: request.url === "/file" ? "file:///etc/passwd" : "/again" }).end();
  });
  for (const path of ["/again", "/file"])
    await assert.rejects(
      newStore()
        .open()
        .tree(file(server.url + path), fetching()),
      (error) => {
        assert.equal(codeOf(error), "failed-precondition");
        assert.match(messageOf(error), /redirect/);
        return true;
      },
    );
});

test("a password in the URL is sent as such and shown in no error", async () => {
  using server = await serve((request, response) => {
    response.writeHead(request.headers.authorization === "Basic bWU6cHc=" ? 404 : 500).end();
  });
  const url = `${server.url.replace("http://", "http://me:pw@")}/x`;
  await assert.rejects(newStore().open().tree(file(url), fetching()), (error) => {
    assert.equal(codeOf(error), "not-found");
    assert.doesNotMatch(messageOf(error), /pw/);
    return true;
  });
});

test("a server that goes silent is given up, and one that drips is not", async () => {
  using silent = await serve((_, response) => void response.write("some"));
  await assert.rejects(newStore(150).open().tree(file(silent.url), fetching()), (error) => {
    assert.equal(codeOf(error), "deadline-exceeded");
    assert.match(messageOf(error), /nothing came for 0.15 seconds/);
    return true;
  });
  using drips = await serve((_, response) => {
    let left = 6;
    const timer = setInterval(() => {
      response.write("d");
      if (--left > 0) return;
      clearInterval(timer);
      response.end();
    }, 60);
  });
  const store = newStore(250);
  assert.equal(store.bytesOf(await store.open().tree(file(drips.url), fetching())).length, 6);
});

test("builds that want one URL at once fetch it once; one that gives up leaves the others alone", async () => {
  let release: () => void = () => {};
  using server = await serve((_, response) => {
    response.write("sh");
    release = () => response.end("ared");
  });
  const store = newStore();
  const downloads = store.open();
  const leaving = new AbortController();
  const first = downloads.tree(file(server.url), fetching({ signal: leaving.signal }));
  const second = downloads.tree(file(server.url), fetching());
  while (server.seen.length === 0) await new Promise(setImmediate);
  leaving.abort(new Error("left"));
  await assert.rejects(first, /left/);
  release();
  assert.equal(store.bytesOf(await second).toString(), "shared");
  assert.equal(server.seen.length, 1);
});

test("when nobody wants a download any more its connection is closed", async () => {
  using server = await serve((_, response) => void response.write("x"));
  const abort = new AbortController();
  const download = newStore()
    .open()
    .tree(file(server.url), fetching({ signal: abort.signal }));
  while (server.seen.length === 0) await new Promise(setImmediate);
  const closed = new Promise((done) => server.seen[0]!.socket.once("close", done));
  abort.abort(new Error("enough"));
  await assert.rejects(download, /enough/);
  await closed;
});

test("a proxy is asked where there is one, but never for this machine's own addresses", async () => {
  using proxy = await serve((request, response) => void response.end(`proxied ${request.url}`));
  const store = newStore();
  const proxies = { HTTP_PROXY: proxy.url, NO_PROXY: ".internal,10.0.0.1:8080" };
  const tree = await store.open().tree(file("http://somewhere.invalid/x"), fetching({ proxies }));
  assert.equal(store.bytesOf(tree).toString(), "proxied http://somewhere.invalid/x");
  const of = (url: string) => proxyFor(new URL(url), proxies);
  for (const url of ["http://localhost/", "http://127.0.0.1/", "http://a.internal/", "http://10.0.0.1:8080/"])
    assert.equal(of(url), undefined, url);
  for (const url of ["http://10.0.0.1/", "http://internal.example/"]) assert.equal(of(url), proxy.url, url);
  assert.equal(of("https://somewhere.invalid/"), undefined);
});

test("a server's certificate is verified, through a proxy too, which sees nothing but the server's name", async () => {
  const [key, cert] = ["key.pem", "cert.pem"].map((name) => join(directory, name)) as [string, string];
  const names = "subjectAltName=DNS:secure.invalid,IP:127.0.0.1";
  const make = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=secure.invalid"];
  execFileSync("openssl", [...make, "-addext", names, "-keyout", key, "-out", cert], { stdio: "ignore" });
  const pem = readFileSync(cert, "utf8");
  const server = createTlsServer({ key: readFileSync(key), cert: pem }, (_, response) => void response.end("secret"));
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  const connected: string[] = [];
  const proxy = createServer().on("connect", ({ url }: IncomingMessage, socket: Socket) => {
    connected.push(url ?? "");
    const there = connect(port, "127.0.0.1", () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      socket.pipe(there).pipe(socket);
    });
    for (const end of [socket, there]) end.on("error", () => end.destroy());
  });
  await new Promise<void>((done) => proxy.listen(0, "127.0.0.1", done));
  try {
    const url = `https://127.0.0.1:${port}/x`;
    await assert.rejects(newStore().open().tree(file(url), fetching()), (error) => {
      assert.match(messageOf(error), /^download https:.*certificate/i);
      return true;
    });
    const store = newStore(undefined, [pem]);
    assert.equal(store.bytesOf(await store.open().tree(file(url), fetching())).toString(), "secret");
    const proxies = { HTTPS_PROXY: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}` };
    const far = await store.open().tree(file("https://secure.invalid/y"), fetching({ proxies }));
    assert.equal(store.bytesOf(far).toString(), "secret");
    assert.deepEqual(connected, ["secure.invalid:443"]);
  } finally {
    for (const one of [server, proxy]) {
      one.close();
      one.closeAllConnections();
    }
  }
});

test("what was not used for two days is forgotten", async () => {
  using server = await serve((_, response) => void response.setHeader("ETag", '"e"').end("x"));
  const store = newStore();
  const tree = await store.open().tree(file(server.url), fetching());
  const before = statSync(store.records.objectOf(tree.entries[0]!)).ctimeMs;
  await store.records.collect();
  assert.ok(await store.records.find(server.url));
  assert.ok(statSync(store.records.objectOf(tree.entries[0]!)).ctimeMs >= before);
  await store.records.collect(Date.now() + 49 * 3600 * 1000);
  assert.equal(await store.records.find(server.url), undefined);
});
