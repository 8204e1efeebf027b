import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { formatTraceparent, newSpanId, newTraceId, parseTraceparent } from "./context.ts";
import { toOtlp } from "./otlp.ts";
import type { SpanRecord } from "./span.ts";
import { SpanStore } from "./store.ts";
import { Tracer } from "./tracer.ts";
import { buildTrees, coveredMs, formatWaterfall, selfTimeMs, slowestPart } from "./waterfall.ts";

const traceId = "0123456789abcdef0123456789abcdef";
const span = (spanId: string, parentId: string, startMs: number, durationMs: number): SpanRecord => ({
  traceId,
  spanId,
  parentId,
  name: spanId,
  service: "hulld",
  startMs,
  durationMs,
  attributes: {},
  error: "",
});
const spans = [span("root", "", 0, 100), span("a", "root", 10, 40), span("b", "root", 30, 40), span("aa", "a", 10, 35)];

test("a traceparent header survives the round trip, and a malformed one starts a new trace", () => {
  const context = { traceId, spanId: "0123456789abcdef" };
  assert.deepEqual(parseTraceparent(formatTraceparent(context)), context);
  assert.equal(parseTraceparent("00-xyz-1-01"), undefined);
  assert.equal(parseTraceparent(`00-${"0".repeat(32)}-0123456789abcdef-01`), undefined);
});

test("overlapping children count once", () => {
  assert.equal(coveredMs(spans[0]!, spans.slice(1, 3)), 60);
  assert.equal(selfTimeMs(buildTrees(spans)[0]!), 40);
  assert.equal(slowestPart(buildTrees(spans))?.span.name, "root");
});

test("the waterfall shows each span below its parent and folds the short ones", () => {
  const text = formatWaterfall([...spans, span("tiny", "root", 90, 0.01)], { barColumns: 20, foldBelowMs: 0.05 });
  const order = text.split("\n").flatMap((line) => /hulld +(\S.*)$/.exec(line)?.[1] ?? []);
  assert.deepEqual(order, ["root", "a", "aa", "b", "1 shorter: tiny"]);
  assert.match(text, /slowest part: root \(hulld\), 40\.0 ms of its own|slowest part: b \(hulld\), 40\.0 ms/);
});

test("OTLP keeps ids, nanoseconds and errors", () => {
  const failed = { ...span("x", "root", 1700000000000.25, 1.5), error: "no" };
  const otlp = toOtlp([failed]).resourceSpans[0]!.scopeSpans[0]!.spans[0]!;
  assert.equal(otlp.startTimeUnixNano, "1700000000000250000");
  assert.equal(otlp.endTimeUnixNano, "1700000000001750000");
  assert.deepEqual(otlp.status, { code: 2, message: "no" });
});

test("a store finds spans by trace and by container, also after it was closed and opened again", () => {
  const directory = mkdtempSync(join(tmpdir(), "glasshull-trace-"));
  try {
    const path = join(directory, "traces.db");
    const first = new SpanStore(path);
    const tracer = new Tracer("hulld", first);
    const root = tracer.start("POST /containers/create", { attributes: { container: "c1" } });
    root.child("mount").end();
    root.end();
    tracer.start("other").end();
    assert.equal(first.find({ container: "c1" }).length, 2);
    first[Symbol.dispose]();
    using second = new SpanStore(path);
    assert.deepEqual(
      second
        .find({ traceId: root.context.traceId })
        .map((found) => found.name)
        .sort(),
      ["POST /containers/create", "mount"],
    );
    assert.equal(second.latest(10).length, 2);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("a store of an older version is begun anew, one of a newer version is refused and kept", () => {
  const directory = mkdtempSync(join(tmpdir(), "glasshull-trace-"));
  try {
    const path = join(directory, "traces.db");
    const written = (sql: string) => {
      using db = new DatabaseSync(path);
      db.exec(sql);
    };
    written("CREATE TABLE spans(id INTEGER PRIMARY KEY, trace TEXT); PRAGMA user_version = 1;");
    {
      using store = new SpanStore(path);
      new Tracer("hulld", store).start("one").end();
      assert.equal(store.latest(10).length, 1);
    }
    written("PRAGMA user_version = 99;");
    assert.throws(() => new SpanStore(path), /has schema 99/);
    written("PRAGMA user_version = 2;");
    using again = new SpanStore(path);
    assert.equal(again.latest(10).length, 1);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("ids do not repeat", () => {
  const ids = Array.from({ length: 5000 }, newSpanId);
  assert.equal(new Set(ids).size, ids.length);
  assert.ok([...ids, newTraceId().slice(16)].every((id) => /^[0-9a-f]{16}$/.test(id)));
});
