import assert from "node:assert/strict";
import { test } from "node:test";
import { withoutEnd } from "./send-results.ts";

async function* pieces(data: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < data.length; at += size) yield data.subarray(at, at + size);
}

async function read(data: Buffer, size: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of withoutEnd(pieces(data, size))) parts.push(part);
  return Buffer.concat(parts);
}

const members = Buffer.concat([Buffer.alloc(512, "h"), Buffer.alloc(1536), Buffer.alloc(512, "x")]);
for (const size of [1, 500, 1024, 4096])
  test(`an archive in pieces of ${size} bytes loses its end alone, not the zeros of its files`, async () => {
    assert.deepEqual(await read(Buffer.concat([members, Buffer.alloc(1024)]), size), members);
  });

test("an archive that is cut short is refused", async () => {
  await assert.rejects(read(members, 512), /cut short/);
  await assert.rejects(read(Buffer.alloc(512), 512), /cut short/);
});
