import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { codeOf, HullError } from "../../platform/errors.ts";
import { decompressed } from "./decompress.ts";

const plain = Buffer.concat([randomBytes(300_000), Buffer.alloc(2_000_000, "words ")]);
const pack = (program: string): Buffer => execFileSync(program, ["-c"], { input: plain, maxBuffer: 1 << 24 });

/** In pieces, the first of them too short to know anything by. */
async function* pieces(bytes: Buffer): AsyncGenerator<Uint8Array> {
  yield bytes.subarray(0, 2);
  for (let at = 2; at < bytes.length; at += 50_000) yield bytes.subarray(at, at + 50_000);
}

async function all(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

for (const program of ["xz", "bzip2"])
  test(`what is compressed with ${program} comes out plain; damaged or cut short it is refused in ${program}'s words`, async () => {
    const packed = pack(program);
    assert.ok((await all(decompressed(pieces(packed)))).equals(plain));
    const damaged = Buffer.from(packed);
    damaged.fill(0x55, 100_000, 100_100);
    for (const bad of [damaged, packed.subarray(0, 100_000)])
      await assert.rejects(all(decompressed(pieces(bad))), (error) => {
        assert.equal(codeOf(error), "invalid-argument");
        assert.match((error as Error).message, new RegExp(program));
        return true;
      });
  });

test("anything else passes as it is, also what is shorter than a head", async () => {
  for (const bytes of [plain, Buffer.from("abc"), Buffer.alloc(0)])
    assert.ok((await all(decompressed(pieces(bytes)))).equals(bytes));
});

test("a body that breaks off is told by its own reason, and a reader may leave early", async () => {
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield pack("xz").subarray(0, 100_000);
    throw new HullError("cancelled", "the client is gone");
  }
  await assert.rejects(all(decompressed(broken())), /the client is gone/);
  for await (const chunk of decompressed(pieces(pack("xz")))) {
    assert.ok(chunk.length > 0);
    break;
  }
});

test("a program that is not there is named with what to do", async () => {
  const path = process.env.PATH;
  process.env.PATH = "/nowhere";
  try {
    await assert.rejects(all(decompressed(pieces(Buffer.from("BZh91AY&SY")))), /compressed with bzip2.*install bzip2/);
  } finally {
    process.env.PATH = path;
  }
});
