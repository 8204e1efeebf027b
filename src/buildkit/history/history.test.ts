import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { codeOf, HullError } from "../../platform/errors.ts";
import { type BuildStep, STEPS_KEY } from "../explain/build-steps.ts";
import { BuildHistoryEventType } from "../gen/moby/buildkit/v1/control_pb.ts";
import { BuildCounts } from "./build-counts.ts";
import { type BuildHistory, openHistory } from "./history.ts";
import type { HistoryLimits } from "./history-table.ts";
import type { Recording } from "./recording.ts";

const roots: string[] = [];
after(() => {
  for (const root of roots) rmSync(root, { recursive: true });
});
const newRoot = (): string => {
  const root = mkdtempSync(join(tmpdir(), "history-"));
  roots.push(root);
  return root;
};

const wide: HistoryLimits = { builds: 100, ageMs: 1e9, bytes: 1e9 };
let clock = 1_000_000;

function open(directory = newRoot(), limits = wide): BuildHistory {
  const warn = (message: string) => assert.fail(message);
  return openHistory({ directory, warn, limits, nowMs: () => clock++ });
}

const begin = (history: BuildHistory, ref: string): Recording =>
  history.begin({
    ref,
    attributes: { target: "t" },
    exporters: [],
    traceId: `trace of ${ref}`,
    counts: new BuildCounts(),
  })!;

async function* messages(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text);
}

const end = (history: BuildHistory, recording: Recording, error?: unknown, text = "said"): Promise<void> =>
  history.finish(recording, { error, response: { "containerimage.digest": "d" }, log: messages(text) });

async function whole(history: BuildHistory, digest: string): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of history.read(digest)) parts.push(part);
  return Buffer.concat(parts).toString();
}

const refs = (history: BuildHistory): string[] => history.list().map(({ record }) => record!.Ref);

test("a build is there while it runs, and with its log, steps and results when it has ended", async () => {
  await using history = open();
  const told: string[] = [];
  using _watching = history.watch(({ type, record }) => told.push(`${BuildHistoryEventType[type]} ${record!.Ref}`));
  const recording = begin(history, "a");
  assert.equal(history.get("a").type, BuildHistoryEventType.STARTED);
  recording.facts.counts.take({ kind: "vertex", id: "v", name: "n", inputs: [] });
  assert.equal(history.get("a").record!.numTotalSteps, 1);
  await end(history, recording);
  const { type, record } = history.get("a");
  assert.equal(type, BuildHistoryEventType.COMPLETE);
  assert.equal(record!.ExporterResponse["containerimage.digest"], "d");
  assert.equal(await whole(history, record!.logs!.digest), "\u0004\0\0\0said");
  assert.deepEqual(JSON.parse(await whole(history, record!.ExporterResponse[STEPS_KEY]!)), [] as BuildStep[]);
  assert.deepEqual(told, ["STARTED a", "COMPLETE a"]);
});

test("a failure has its code: cancelled or not", async () => {
  await using history = open();
  await end(history, begin(history, "a"), new HullError("cancelled", "given up"));
  await end(history, begin(history, "b"), new Error("broken"));
  assert.equal(history.get("a").record!.error!.code, 1);
  assert.deepEqual([history.get("b").record!.error!.code, history.get("b").record!.error!.message], [2, "broken"]);
});

test("builds beyond the limits go, the oldest first, with their blobs; pinned ones stay", async () => {
  const directory = newRoot();
  await using history = open(directory, { ...wide, builds: 2 });
  for (const ref of ["a", "b", "c", "d"]) {
    await end(history, begin(history, ref), undefined, `log of ${ref}`);
    if (ref === "a") history.pin("a", true);
  }
  assert.deepEqual(refs(history), ["a", "c", "d"]);
  // The logs of three and their steps, which are the same.
  assert.equal(readdirSync(join(directory, "history")).length, 4);
  await history.remove("a");
  assert.deepEqual(refs(history), ["c", "d"]);
  assert.equal(readdirSync(join(directory, "history")).length, 3);
  assert.throws(
    () => history.get("a"),
    (error) => codeOf(error) === "not-found",
  );
});

test("old builds and large ones go", async () => {
  const directory = newRoot();
  {
    await using history = open(directory);
    await end(history, begin(history, "old"));
    clock += 1000;
    await end(history, begin(history, "new"));
  }
  {
    await using history = open(directory, { ...wide, ageMs: 500 });
    assert.deepEqual(refs(history), ["new"]);
  }
  await using history = open(directory, { ...wide, bytes: 1000 });
  await end(history, begin(history, "large"), undefined, "x".repeat(2000));
  assert.deepEqual(refs(history), []);
});

test("what a killed builder left has failed; what is under way is not removed", async () => {
  const directory = newRoot();
  {
    await using history = open(directory);
    begin(history, "cut");
    await assert.rejects(history.remove("cut"), (error) => codeOf(error) === "failed-precondition");
  }
  await using history = open(directory);
  const { type, record } = history.get("cut");
  assert.equal(type, BuildHistoryEventType.COMPLETE);
  assert.match(record!.error!.message, /the builder ended while the build was under way/);
});

test("parts of a blob are read by their place", async () => {
  await using history = open();
  await end(history, begin(history, "a"), undefined, "0123456789");
  const parts: Buffer[] = [];
  for await (const part of history.read(history.get("a").record!.logs!.digest, 6, 3)) parts.push(part);
  assert.equal(Buffer.concat(parts).toString(), "234");
  await assert.rejects(whole(history, `sha256:${"0".repeat(64)}`), (error) => codeOf(error) === "not-found");
  await assert.rejects(whole(history, "sha256:../../x"), (error) => codeOf(error) === "invalid-argument");
});
