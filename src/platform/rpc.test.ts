import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, statSync, unlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { codeOf, HullError } from "./errors.ts";
import type { Stream, Unary } from "./rpc.ts";
import { RpcClient } from "./rpc-client.ts";
import { type Handlers, serveConnection } from "./rpc-server.ts";
import { listenUnix, type UnixListener } from "./unix-listener.ts";

interface Echo {
  echo: Unary<{ readonly text: string }, { readonly text: string; readonly trace: string }>;
  fail: Unary<Record<string, never>, never>;
  hang: Unary<Record<string, never>, never>;
  count: Stream<{ readonly to: number }, number>;
}

let directory = "";
let path = "";
let listener: UnixListener;
let aborted = 0;

const handlers: Handlers<Echo> = {
  unary: {
    echo: async ({ text }, { trace }) => ({ text, trace: trace ?? "" }),
    fail: async () => {
      throw new HullError("conflict", "no", { facts: { errno: "EBUSY" } });
    },
    hang: (_, { signal }) =>
      new Promise((_, reject) =>
        signal.addEventListener("abort", () => {
          aborted++;
          reject(signal.reason);
        }),
      ),
  },
  streams: {
    count: async function* ({ to }) {
      for (let i = 0; i < to; i++) yield i;
    },
  },
};

before(async () => {
  directory = mkdtempSync(join(tmpdir(), "rpc-"));
  path = join(directory, "s");
  listener = await listenUnix({ path, onConnection: (socket) => serveConnection(socket, handlers) });
});
after(async () => {
  await listener.close();
  rmSync(directory, { recursive: true });
});

async function until(condition: () => boolean, deadlineMs = 2000): Promise<void> {
  const end = Date.now() + deadlineMs;
  while (!condition()) {
    assert.ok(Date.now() < end, "waited too long");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test("a call carries parameters and trace there and the result back", async () => {
  using client = new RpcClient<Echo>(path);
  assert.deepEqual(await client.call("echo", { text: "ü" }, { trace: "00-1" }), { text: "ü", trace: "00-1" });
});

test("an error keeps its code, message and facts", async () => {
  using client = new RpcClient<Echo>(path);
  await assert.rejects(client.call("fail", {}), (error: HullError) => {
    assert.deepEqual([error.code, error.message, error.facts], ["conflict", "no", { errno: "EBUSY" }]);
    return true;
  });
});

test("an unknown method is unimplemented, also when it is a name every object has", async () => {
  using client = new RpcClient<Record<string, Unary<unknown, unknown>>>(path);
  await assert.rejects(client.call("constructor", {}), { code: "unimplemented" });
});

test("aborting a call aborts its handler", async () => {
  using client = new RpcClient<Echo>(path);
  const controller = new AbortController();
  const call = client.call("hang", {}, { signal: controller.signal });
  await client.call("echo", { text: "" });
  controller.abort(new Error("enough"));
  await assert.rejects(call, /enough/);
  await until(() => aborted === 1);
});

test("a stream gives every item in order, with back-pressure", async () => {
  using client = new RpcClient<Echo>(path);
  let expected = 0;
  for await (const item of client.stream("count", { to: 20_000 })) assert.equal(item, expected++);
  assert.equal(expected, 20_000);
});

test("a reader that leaves a stream early leaves the connection usable", async () => {
  using client = new RpcClient<Echo>(path);
  for await (const item of client.stream("count", { to: 100_000 })) if (item === 3) break;
  assert.equal((await client.call("echo", { text: "x" })).text, "x");
});

test("who is away or does not answer in time is named, and not by a path", async () => {
  const away = new RpcClient<Echo>(join(directory, "nobody.sock"), undefined, "hull-netd");
  await assert.rejects(away.call("hang", {}, { retryForMs: 0 }), (error) => {
    assert.equal(codeOf(error), "unavailable");
    assert.match(
      (error as Error).message,
      /^hull-netd does not answer: it has ended, or is being started again; try again/,
    );
    return true;
  });
  using client = new RpcClient<Echo>(path, undefined, "hull-netd");
  await assert.rejects(client.call("hang", {}, { signal: AbortSignal.timeout(30) }), (error) => {
    assert.equal(codeOf(error), "deadline-exceeded");
    assert.match((error as Error).message, /^hull-netd has not answered "hang" in time/);
    return true;
  });
});

test("a call survives the restart of the server and a deleted socket file is back within a second", async () => {
  using client = new RpcClient<Echo>(path);
  const inode = statSync(path).ino;
  unlinkSync(path);
  assert.equal((await client.call("echo", { text: "y" }, { retryForMs: 1000 })).text, "y");
  await until(() => existsSync(path), 1000);
  assert.ok(inode > 0);
});

test("closing an old listener leaves the file of a new one", async () => {
  const other = join(directory, "t");
  const first = await listenUnix({ path: other, onConnection: (socket) => socket.destroy() });
  const second = await listenUnix({ path: other, onConnection: (socket) => socket.destroy() });
  await first.close();
  assert.ok(existsSync(other));
  await second.close();
  assert.ok(!existsSync(other));
});

test("a path longer than a socket address is refused", async () => {
  await assert.rejects(listenUnix({ path: `/tmp/${"x".repeat(200)}`, onConnection: () => {} }), {
    code: "invalid-argument",
  });
});

test("a call takes well under half a millisecond", async () => {
  using client = new RpcClient<Echo>(path);
  for (let i = 0; i < 200; i++) await client.call("echo", { text: "warm" });
  const times: number[] = [];
  for (let i = 0; i < 300; i++) {
    const begin = performance.now();
    await client.call("echo", { text: "z" });
    times.push(performance.now() - begin);
  }
  const median = times.sort((a, b) => a - b)[150]!;
  console.log(`rpc call: median ${median.toFixed(3)} ms`);
  assert.ok(median < 0.5, `median ${median} ms`);
});
