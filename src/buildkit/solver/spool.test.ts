import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { LogFile, type LogFrame, MAX_FRAME_BYTES, removeLogs } from "./spool.ts";

const scratch = () => {
  const path = mkdtempSync(join(tmpdir(), "spool-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true }) };
};

async function everything(log: LogFile): Promise<readonly LogFrame[]> {
  const all: LogFrame[] = [];
  for (let at = 0; at < log.size; ) {
    const { frames, next } = await log.read(at);
    all.push(...frames);
    at = next;
  }
  return all;
}

test("a log is never clipped: what was said is read again in order, byte for byte", async () => {
  using directory = scratch();
  const log = await LogFile.create(directory.path);
  const said = Array.from({ length: 100 }, (_, i) => ({
    atNs: BigInt(i),
    stream: i % 2 === 0 ? (1 as const) : (2 as const),
    data: new Uint8Array(i % 7 === 0 ? MAX_FRAME_BYTES : i).fill(i),
  }));
  await Promise.all(said.map((frame) => log.append(frame)));
  const found = await everything(log);
  assert.deepEqual(
    found.map(({ atNs, stream, data }) => ({ atNs, stream, data: new Uint8Array(data) })),
    said,
  );
  await log.release();
});

test("the file goes with the last that needs it", async () => {
  using directory = scratch();
  const log = await LogFile.create(directory.path);
  await log.append({ atNs: 1n, stream: 1, data: Buffer.from("x") });
  log.retain();
  await log.release();
  assert.equal((await everything(log)).length, 1);
  await log.release();
  assert.equal(existsSync(log.path), false);
});

test("logs of a builder that was killed are removed at the next start", () => {
  using directory = scratch();
  writeFileSync(join(directory.path, "dead.log"), "x");
  removeLogs(directory.path);
  assert.deepEqual(readdirSync(directory.path), []);
});
