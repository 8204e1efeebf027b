import assert from "node:assert/strict";
import { mkdtempSync, rmSync, unlinkSync } from "node:fs";
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
import { serveGrpc } from "./server.ts";
import { namespaceOf, startCalls } from "./services/call.ts";

async function within(
  body: (client: ReturnType<typeof connectContainerd>, facts: { spans: SpanRecord[]; path: string }) => Promise<void>,
): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "hull-grpc-"));
  const path = join(directory, "s.sock");
  const spans: SpanRecord[] = [];
  await using _ = await serveGrpc({
    path,
    startCall: startCalls(new Tracer("test", { record: (span) => void spans.push(span) })),
    onRecreated: () => {},
    routes: (router) => {
      router.service(Namespaces, {
        get: ({ name }, context) => ({ namespace: { name: `${namespaceOf(context)}/${name}` } }),
        delete: () => {
          throw new HullError("conflict", "is in use", { facts: { who: "container ü" } });
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
    await body(client, { spans, path });
  } finally {
    await client[Symbol.asyncDispose]();
    rmSync(directory, { recursive: true });
  }
}

test("calls carry the client's namespace and the caller's trace", async () => {
  await within(async (client, { spans }) => {
    const parent = parseTraceparent(`00-${"a".repeat(32)}-${"b".repeat(16)}-01`)!;
    const { namespace } = await client.namespaces.get({ name: "x" }, call({ parent }));
    assert.equal(namespace?.name, "moby/x");
    assert.deepEqual(
      [spans[0]?.traceId, spans[0]?.parentId, spans[0]?.name],
      [parent.traceId, parent.spanId, "namespaces.Get"],
    );
  });
});

test("errors keep code, text and facts over the wire", async () => {
  await within(async (client) => {
    await assert.rejects(client.namespaces.delete({ name: "x" }), (error) => {
      assert.ok(error instanceof HullError);
      assert.deepEqual([error.code, error.message, error.facts], ["conflict", "is in use", { who: "container ü" }]);
      return true;
    });
    await assert.rejects(client.images.list({}), (error) => codeOf(error) === "unimplemented");
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

test("a call without a server fails as unavailable", async () => {
  const client = connectContainerd({ socketPath: "/nonexistent/x.sock", namespace: "moby" });
  await assert.rejects(client.version.version({}), (error) => codeOf(error) === "unavailable");
  await client[Symbol.asyncDispose]();
});
