import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { operations, tolerable } from "./operations.ts";
import { operation } from "./plan.ts";
import { decodeRecords, encodeFrame, encodeRecord, encodeRecords, FrameReader } from "./wire.ts";

const record = fc.record(
  {
    code: fc.integer({ min: 0, max: 0xffff }),
    flags: fc.integer({ min: 0, max: 0xffff_ffff }),
    ints: fc.array(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), { maxLength: 8 }),
    blobs: fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 }),
  },
  { noNullPrototype: true },
);

test("a record is read back as it was written, and takes a multiple of 8 bytes", () => {
  fc.assert(
    fc.property(fc.array(record, { maxLength: 5 }), (records) => {
      const bytes = encodeRecords(records);
      assert.equal(bytes.length % 8, 0);
      const read = decodeRecords(bytes).map((one) => ({
        ...one,
        blobs: one.blobs.map((blob) => new Uint8Array(blob)),
      }));
      assert.deepEqual(read, records);
    }),
  );
});

test("a record cut short is refused, wherever it is cut", () => {
  const whole = encodeRecord({ code: 1, ints: [1, 2], blobs: ["path", "data"] });
  for (let length = 1; length < whole.length; length++) {
    assert.throws(() => decodeRecords(whole.subarray(0, length)), /malformed record/);
  }
});

test("frames arrive whole however their bytes are cut", () => {
  const frames = [encodeFrame(1, 7, Buffer.from("seven")), encodeFrame(2, 8, Buffer.alloc(0))];
  const reader = new FrameReader();
  const read = [...Buffer.concat(frames)].flatMap((byte) => [...reader.push(Buffer.from([byte]))]);
  assert.deepEqual(
    read.map(({ type, id, payload }) => [type, id, payload.toString()]),
    [
      [1, 7, "seven"],
      [2, 8, ""],
    ],
  );
});

test("a negative integer is written as its 64 bit two's complement", () => {
  const [read] = decodeRecords(encodeRecord(operation("oomScoreAdj", { score: -500 }).record));
  assert.equal(BigInt.asIntN(64, read!.ints[0]!), -500n);
});

test("keel's header has the codes, counts and errnos of the table", () => {
  const header = readFileSync(fileURLToPath(new URL("../../native/keel/core/operations.h", import.meta.url)), "utf8");
  const declared = new Map(
    [...header.matchAll(/OP_([A-Z0-9_]+) = (\d+),/g)].map(([, name, code]) => [name, Number(code)]),
  );
  const counted = new Map(
    [...header.matchAll(/X\(OP_([A-Z0-9_]+), op_\w+, (\d+), (\d+)\)/g)].map(([, name, ints, blobs]) => [
      name,
      [Number(ints), Number(blobs)],
    ]),
  );
  for (const [name, shape] of Object.entries(operations)) {
    const upper = name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
    assert.equal(declared.get(upper), shape.code, name);
    assert.deepEqual(counted.get(upper), [shape.ints.length, shape.blobs.length], name);
  }
  assert.equal(declared.size, Object.keys(operations).length);
  assert.match(header, new RegExp(`tolerable\\[\\] = \\{${tolerable.join(", ")}\\};`));
});

test("no two operations share a code", () => {
  const codes = Object.values(operations).map((shape) => shape.code);
  assert.equal(new Set(codes).size, codes.length);
});
