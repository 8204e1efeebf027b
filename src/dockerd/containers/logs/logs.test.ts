import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { fixedWidthTime, type LogLine } from "./parse.ts";
import { type LogWish, readLog } from "./read.ts";

let directory = "";
let path = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "hull-logs-"));
  path = join(directory, "x-json.log");
});
afterEach(() => rmSync(directory, { recursive: true }));

const line = (n: number, stream = "stdout"): string =>
  `${JSON.stringify({ log: `line ${n}\n`, stream, time: `2026-01-01T00:00:${String(n).padStart(2, "0")}.5Z` })}\n`;
const lines = (from: number, to: number): string =>
  Array.from({ length: to - from + 1 }, (_, i) => line(from + i)).join("");

const wish = (changes: Partial<LogWish> = {}): LogWish => ({
  path,
  maxFiles: 3,
  tail: undefined,
  sinceNs: undefined,
  untilNs: undefined,
  stdout: true,
  stderr: true,
  until: undefined,
  signal: new AbortController().signal,
  ...changes,
});

async function numbers(source: AsyncIterable<LogLine>): Promise<number[]> {
  const found: number[] = [];
  for await (const { text } of source) found.push(Number(text.slice(5)));
  return found;
}

function writeRotated(): void {
  writeFileSync(`${path}.2`, lines(1, 3));
  writeFileSync(`${path}.1`, lines(4, 6));
  writeFileSync(path, lines(7, 8));
}

test("reads rotated files oldest first", async () => {
  writeRotated();
  assert.deepEqual(await numbers(readLog(wish())), [1, 2, 3, 4, 5, 6, 7, 8]);
});

for (const [tail, expected] of [
  [0, []],
  [1, [8]],
  [2, [7, 8]],
  [4, [5, 6, 7, 8]],
  [100, [1, 2, 3, 4, 5, 6, 7, 8]],
] as const)
  test(`a tail of ${tail} lines reaches over rotated files`, async () => {
    writeRotated();
    assert.deepEqual(await numbers(readLog(wish({ tail }))), expected);
  });

test("since and until select by time, stdout and stderr by stream", async () => {
  writeFileSync(path, lines(1, 3) + line(4, "stderr"));
  const second = (n: number) => BigInt(Date.parse("2026-01-01T00:00:00Z") + n * 1000) * 1_000_000n;
  assert.deepEqual(await numbers(readLog(wish({ sinceNs: second(2), untilNs: second(4) }))), [2, 3]);
  assert.deepEqual(await numbers(readLog(wish({ stdout: false }))), [4]);
});

test("torn and foreign lines are skipped", async () => {
  writeFileSync(path, `{"log":"to\n${line(2)}null\n{}\n${line(3)}`);
  assert.deepEqual(await numbers(readLog(wish())), [2, 3]);
});

test("following gives every line across rotations and ends after the drain", async () => {
  writeFileSync(path, lines(1, 2));
  const end = Promise.withResolvers<void>();
  const reader = readLog(wish({ until: end.promise }));
  const found: number[] = [];
  for await (const { text } of reader) {
    const n = Number(text.slice(5));
    found.push(n);
    if (n === 2) appendFileSync(path, lines(3, 4));
    if (n === 4) {
      appendFileSync(path, line(5));
      renameSync(path, `${path}.1`);
      writeFileSync(path, line(6));
    }
    if (n === 6) {
      appendFileSync(path, line(7));
      end.resolve();
    }
  }
  assert.deepEqual(found, [1, 2, 3, 4, 5, 6, 7]);
});

test("following ends when its reader goes", async () => {
  writeFileSync(path, line(1));
  const abort = new AbortController();
  const reader = readLog(wish({ until: new Promise(() => undefined), signal: abort.signal }));
  assert.equal((await reader.next()).value?.text, "line 1\n");
  setImmediate(() => abort.abort());
  await assert.rejects(reader.next());
});

test("timestamps have a fixed width", () => {
  assert.equal(fixedWidthTime("2026-01-01T00:00:00.5Z"), "2026-01-01T00:00:00.500000000Z");
  assert.equal(fixedWidthTime("2026-01-01T00:00:00Z"), "2026-01-01T00:00:00.000000000Z");
});
