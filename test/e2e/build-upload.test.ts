import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { member, tarOf } from "../../src/keel/tar-harness.ts";
import { TestEngine, until } from "../engine.ts";
import { Random } from "../random.ts";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

const contents = randomBytes(3_000_000);
const context = tarOf(
  member({ name: "Dockerfile", bytes: Buffer.from("FROM busybox\nCOPY large small /\nRUN sha256sum /large\n") }),
  member({ name: "large", bytes: contents }),
  member({ name: "small", bytes: Buffer.from("small") }),
);

/** One connection, on which requests are made by hand. */
class Connection implements Disposable {
  readonly socket: Socket = connect(engine.socket);
  text = "";
  closed = false;

  constructor() {
    this.socket.on("data", (chunk) => {
      this.text += chunk.toString("latin1");
    });
    this.socket
      .on("error", () => undefined)
      .on("close", () => {
        this.closed = true;
      });
  }

  head(framing: string, query = ""): void {
    this.socket.write(
      `POST /v1.51/build?${query} HTTP/1.1\r\nHost: docker\r\nContent-Type: application/x-tar\r\n${framing}\r\n\r\n`,
    );
  }

  write(bytes: Uint8Array | string): Promise<void> {
    return new Promise((resolve) => this.socket.write(bytes, () => resolve()));
  }

  async said(what: RegExp): Promise<string> {
    await until(
      () => `${what} in ${this.text}`,
      () => what.test(this.text),
      60_000,
    );
    return this.text;
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

const whole = /\r\n0\r\n\r\n/;
const idIn = (text: string): string => /Successfully built ([0-9a-f]{12})/.exec(text)?.[1] ?? `none in ${text}`;

test("a context in chunks and packets of any size, one build after the other on one connection", async () => {
  const random = new Random(7);
  using connection = new Connection();
  const ids = new Set<string>();
  for (let build = 0; build < 3; build++) {
    connection.text = "";
    const body = build === 1 ? gzipSync(context) : context;
    connection.head("Transfer-Encoding: chunked");
    for (let at = 0; at < body.length; ) {
      const size = 1 + random.below(random.pick([10, 1000, 100_000, 400_000]));
      const piece = body.subarray(at, at + size);
      at += piece.length;
      const extension = build === 2 ? "; name=value" : "";
      const coded = Buffer.concat([
        Buffer.from(`${piece.length.toString(16)}${extension}\r\n`),
        piece,
        Buffer.from("\r\n"),
      ]);
      const cut = random.below(coded.length);
      await connection.write(coded.subarray(0, cut));
      if (random.below(3) === 0) await delay(3);
      await connection.write(coded.subarray(cut));
    }
    await connection.write(build === 2 ? "0\r\nTrailer: of the body\r\n\r\n" : "0\r\n\r\n");
    ids.add(idIn(await connection.said(whole)));
  }
  assert.equal(ids.size, 1, "the same files give the same image");
  const summed = await engine.ok("run", "--rm", [...ids][0]!, "sha256sum", "/large");
  assert.equal(summed.split(" ")[0], createHash("sha256").update(contents).digest("hex"));
});

test("a context of known length, all at once or slowly, then another request on the connection", async () => {
  using connection = new Connection();
  for (const slow of [false, true]) {
    connection.text = "";
    connection.head(`Content-Length: ${context.length}`, "q=1");
    for (let at = 0; at < context.length; at += 500_000) {
      await connection.write(context.subarray(at, at + 500_000));
      if (slow) await delay(20);
    }
    assert.match(await connection.said(whole), /sha256:[0-9a-f]{64}/);
  }
  connection.text = "";
  await connection.write("GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n");
  await connection.said(/200 OK.*OK$/s);
});

for (const program of ["xz", "bzip2"])
  for (const framing of ["Content-Length", "chunked"] as const)
    test(`a context that ${program} packed, ${framing}`, async () => {
      const body = spawnSync(program, ["-c"], { input: context, maxBuffer: 2 * context.length }).stdout;
      using connection = new Connection();
      connection.head(framing === "chunked" ? "Transfer-Encoding: chunked" : `Content-Length: ${body.length}`);
      if (framing === "chunked") await connection.write(`${body.length.toString(16)}\r\n`);
      for (let at = 0; at < body.length; at += 100_000) await connection.write(body.subarray(at, at + 100_000));
      if (framing === "chunked") await connection.write("\r\n0\r\n\r\n");
      assert.match(await connection.said(whole), /Successfully built/);
    });

test("a request that comes together with the end of the body is answered, or the connection closed", async () => {
  using connection = new Connection();
  connection.head(`Content-Length: ${context.length}`);
  await connection.write(Buffer.concat([context, Buffer.from("GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n")]));
  await connection.said(/Successfully built/);
  await until("answered or closed", () => connection.closed || /\r\nOK$/.test(connection.text));
});

const left = (): string[] => {
  const path = join(engine.dataRoot, "buildkit/contexts");
  const names = [path, join(path, "objects")].flatMap((directory) =>
    existsSync(directory) ? readdirSync(directory) : [],
  );
  return names.filter((name) => name.startsWith("incoming-"));
};

const damages: readonly (readonly [what: string, framing: string, body: Buffer, answer: RegExp])[] = [
  [
    "a chunk whose size is none",
    "Transfer-Encoding: chunked",
    Buffer.from("zz\r\n"),
    /400 .*malformed chunked encoding/s,
  ],
  [
    "a size that never ends",
    "Transfer-Encoding: chunked",
    Buffer.from("1;".padEnd(20_000, "x")),
    /400 .*malformed chunked encoding/s,
  ],
  ["no archive", "Content-Length: 2000", Buffer.alloc(2000, "x"), /400 .*Error processing tar file/s],
  [
    "an archive that ends in the middle",
    "Content-Length: 1000000",
    context.subarray(0, 1_000_000),
    /400 .*Error processing tar file/s,
  ],
];

for (const [what, framing, body, answer] of damages)
  test(`${what} is refused, and nothing of it stays`, async () => {
    using connection = new Connection();
    connection.head(framing);
    await connection.write(body);
    await connection.said(answer);
    await until(
      () => `nothing is left of ${left()}`,
      () => left().length === 0,
    );
    assert.match(await engine.ok("images", "-q"), /^[0-9a-f]{12}/);
  });

for (const how of ["vanishes", "half-closes"] as const)
  test(`a client that ${how} in the middle of its context leaves nothing behind`, async () => {
    using connection = new Connection();
    connection.head(`Content-Length: ${context.length}`);
    await connection.write(context.subarray(0, 1_000_000));
    await until("the upload has begun", () => left().length > 0);
    if (how === "vanishes") connection.socket.destroy();
    else connection.socket.end();
    await until(
      () => `nothing is left of ${left()}`,
      () => left().length === 0,
    );
    assert.doesNotMatch(connection.text, /200 OK/);
  });

test("a client that vanishes while its image is built ends the build", async () => {
  const dockerfile = Buffer.from("FROM busybox\nRUN sleep 987\n");
  const small = tarOf(member({ name: "Dockerfile", bytes: dockerfile }));
  using connection = new Connection();
  connection.head(`Content-Length: ${small.length}`, "q=1");
  await connection.write(small);
  const sleeps = (): boolean => spawnSync("pgrep", ["-f", "^sleep 987"]).status === 0;
  await until("the command runs", sleeps, 30_000);
  connection.socket.destroy();
  await until("the command has ended", () => !sleeps(), 30_000);
});
