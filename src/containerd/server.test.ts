import assert from "node:assert/strict";
import { mkdtempSync, rmSync, unlinkSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { codeOf, HullError } from "../platform/errors.ts";
import { parseTraceparent } from "../trace/context.ts";
import type { SpanRecord } from "../trace/span.ts";
import { Tracer } from "../trace/tracer.ts";
import { call, connectContainerd } from "./client.ts";
import { Content } from "./gen/containerd/services/content/v1/content_pb.ts";
import { Events } from "./gen/containerd/services/events/v1/events_pb.ts";
import { Namespaces } from "./gen/containerd/services/namespaces/v1/namespaces_pb.ts";
import { serveServices } from "./server.ts";
import { namespaceOf, startCalls } from "./services/call.ts";
import { encodeFrame, encodeRequest, FrameReader, REQUEST } from "./ttrpc/frames.ts";

async function within(
  body: (
    client: ReturnType<typeof connectContainerd>,
    facts: { spans: SpanRecord[]; path: string; ended: Promise<void> },
  ) => Promise<void>,
): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "hull-grpc-"));
  const path = join(directory, "s.sock");
  const spans: SpanRecord[] = [];
  /** A namespaces.Create has seen its abort. */
  const ended = Promise.withResolvers<void>();
  await using _ = await serveServices({
    path,
    startCall: startCalls(new Tracer("test", { record: (span) => void spans.push(span) })),
    onRecreated: () => {},
    routes: (router) => {
      router.service(Namespaces, {
        get: ({ name }, context) => ({ namespace: { name: `${namespaceOf(context)}/${name}` } }),
        create: async (_, { signal }) => {
          if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve));
          ended.resolve();
          throw signal.reason;
        },
        delete: () => {
          throw new HullError("conflict", "is in use", { facts: { who: "container ü", times: 2 } });
        },
      });
      router.service(Content, {
        async *read({ size }) {
          for (let i = 0; i < Number(size); i++) yield { data: Buffer.alloc(1 << 20, i) };
        },
      });
      router.service(Events, {
        async *subscribe(_, context) {
          yield { topic: "/one" };
          await new Promise((resolve) => context.signal.addEventListener("abort", resolve));
        },
      });
    },
  });
  const client = connectContainerd({ socketPath: path, namespace: "moby" });
  try {
    await body(client, { spans, path, ended: ended.promise });
  } finally {
    await client[Symbol.asyncDispose]();
    rmSync(directory, { recursive: true });
  }
}

// A call that can be aborted goes over gRPC, one that cannot over ttrpc.
const protocols = [
  ["ttrpc", {}],
  ["gRPC", { signal: new AbortController().signal }],
] as const;
for (const [protocol, options] of protocols) {
  test(`calls over ${protocol} carry the client's namespace and the caller's trace`, async () => {
    await within(async (client, { spans }) => {
      const parent = parseTraceparent(`00-${"a".repeat(32)}-${"b".repeat(16)}-01`)!;
      const { namespace } = await client.namespaces.get({ name: "x" }, call({ parent, ...options }));
      assert.equal(namespace?.name, "moby/x");
      assert.deepEqual(
        [spans[0]?.traceId, spans[0]?.parentId, spans[0]?.name],
        [parent.traceId, parent.spanId, "namespaces.Get"],
      );
    });
  });

  test(`errors over ${protocol} keep code, text and facts`, async () => {
    await within(async (client) => {
      await assert.rejects(client.namespaces.delete({ name: "x" }, options), (error) => {
        assert.ok(error instanceof HullError);
        const { code, message, facts } = error;
        assert.deepEqual([code, message, facts], ["conflict", "is in use", { who: "container ü", times: 2 }]);
        return true;
      });
      await assert.rejects(client.images.list({}, options), (error) => codeOf(error) === "unimplemented");
    });
  });

  test(`a call over ${protocol} that is not answered ends with its deadline, on the other side too`, async () => {
    await within(async (client, { ended }) => {
      const slow = client.namespaces.create({}, call({ timeoutMs: 50, ...options }));
      await assert.rejects(slow, (error) => codeOf(error) === "deadline-exceeded");
      await ended;
    });
  });
}

test("calls over one connection are answered in any order", async () => {
  await within(async (client) => {
    const order: string[] = [];
    const slow = client.namespaces.create({}, call({ timeoutMs: 200 })).catch(() => order.push("slow"));
    await client.namespaces.get({ name: "x" }).then(() => order.push("fast"));
    await slow;
    assert.deepEqual(order, ["fast", "slow"]);
  });
});

test("a connection that ends aborts the calls on it, and the next call dials again", async () => {
  await within(async (client, { ended, path }) => {
    const socket = net.connect(`${path}.ttrpc`);
    const request = { service: Namespaces.typeName, method: "Create", timeoutMs: 0, metadata: new Map() };
    const payload = encodeRequest({ ...request, payload: new Uint8Array() });
    socket.write(encodeFrame({ streamId: 1, type: REQUEST, payload }));
    setTimeout(() => socket.destroy(), 20);
    await ended;
    assert.equal((await client.namespaces.get({ name: "x" })).namespace?.name, "moby/x");
  });
});

test("what is no ttrpc is refused, and others are served on", async () => {
  await within(async (client, { path }) => {
    const closed = (bytes: Buffer) =>
      new Promise<void>((resolve) =>
        net
          .connect(`${path}.ttrpc`)
          .on("close", () => resolve())
          .on("error", () => {})
          .resume()
          .end(bytes),
      );
    await closed(Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    await closed(Buffer.alloc(5));
    await closed(encodeFrame({ streamId: 1, type: REQUEST, payload: Buffer.from([0x0a, 0x7f]) }));
    assert.equal((await client.namespaces.get({ name: "x" })).namespace?.name, "moby/x");
  });
});

test("streams deliver megabytes whole and end on abort", async () => {
  await within(async (client) => {
    let bytes = 0;
    for await (const { data } of client.content.read({ size: 20n })) bytes += data.length;
    assert.equal(bytes, 20 << 20);
    const abort = new AbortController();
    const topics: string[] = [];
    const reading = (async () => {
      for await (const { topic } of client.events.subscribe({}, { signal: abort.signal })) {
        topics.push(topic);
        abort.abort();
      }
    })();
    await assert.rejects(reading, (error) => codeOf(error) === "cancelled");
    assert.deepEqual(topics, ["/one"]);
  });
});

test("a deleted socket file is there again within a second and a new client gets through", async () => {
  await within(async (_, { path }) => {
    unlinkSync(path);
    const until = Date.now() + 1000;
    for (;;) {
      const again = connectContainerd({ socketPath: path, namespace: "moby" });
      try {
        await again.namespaces.get({ name: "x" });
        return;
      } catch (error) {
        if (Date.now() > until) throw error;
      } finally {
        await again[Symbol.asyncDispose]();
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  });
});

for (const [protocol, options] of protocols)
  test(`a call over ${protocol} that nobody hears says so in words`, async () => {
    const client = connectContainerd({ socketPath: "/nonexistent/x.sock", namespace: "moby" });
    const unheard = /^hull-containerd does not answer \(connect ENOENT\): .*hull system logs/;
    await assert.rejects(client.version.version({}, options), (error: Error) => {
      assert.equal(codeOf(error), "unavailable");
      assert.match(error.message, unheard);
      assert.doesNotMatch(error.message, /nonexistent/);
      return true;
    });
    await client[Symbol.asyncDispose]();
  });

test("a message that arrives in small pieces, with the next one behind it, is one message", () => {
  const reader = new FrameReader();
  const payload = Buffer.alloc(300_000, 7);
  const bytes = Buffer.concat([1, 3].map((streamId) => encodeFrame({ streamId, type: REQUEST, payload })));
  const frames = [];
  for (let at = 0; at < bytes.length; at += 777) frames.push(...reader.push(bytes.subarray(at, at + 777)));
  assert.deepEqual(
    frames.map(({ streamId, payload: got }) => [streamId, Buffer.compare(got, payload)]),
    [
      [1, 0],
      [3, 0],
    ],
  );
});
