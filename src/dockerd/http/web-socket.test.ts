import assert from "node:assert/strict";
import { test } from "node:test";
import { acceptKey, FrameReader, frameOf } from "./web-socket.ts";

/** As clients send them. */
function masked(opcode: number, text: string, first = 0x80): Buffer {
  const plain = frameOf(opcode, Buffer.from(text));
  const header = plain.subarray(0, plain.length - Buffer.byteLength(text));
  const mask = Buffer.from([1, 2, 3, 4]);
  const payload = Buffer.from(Buffer.from(text).map((byte, i) => byte ^ mask[i & 3]!));
  const frame = Buffer.concat([header, mask, payload]);
  frame[0] = first | opcode;
  frame[1]! |= 0x80;
  return frame;
}

function read(pieces: readonly Buffer[]) {
  const data: string[] = [];
  const control: [number, string][] = [];
  const reader = new FrameReader({
    onData: (bytes) => data.push(bytes.toString()),
    onControl: (opcode, payload) => control.push([opcode, payload.toString()]),
  });
  const valid = pieces.every((piece) => reader.push(piece));
  return { data: data.join(""), control, valid };
}

test("a key is answered as RFC 6455 shows it", () =>
  assert.equal(acceptKey("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));

test("messages in parts, of every length, with a ping between them are read, however they come", () => {
  const long = "x".repeat(70_000);
  const bytes = Buffer.concat([
    masked(1, "ab", 0),
    masked(9, "ping"),
    masked(0, "cd"),
    masked(2, "y".repeat(300)),
    masked(2, long),
    masked(8, ""),
  ]);
  const expected = {
    data: `abcd${"y".repeat(300)}${long}`,
    control: [
      [9, "ping"],
      [8, ""],
    ],
    valid: true,
  };
  assert.deepEqual(read([bytes]), expected);
  for (const size of [1, 7, 4096]) {
    const pieces: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
    assert.deepEqual(read(pieces), expected);
  }
});

for (const [what, frame] of [
  ["an unmasked frame", frameOf(2, Buffer.from("x"))],
  ["a reserved bit", masked(2, "x", 0xc0)],
  ["an unknown opcode", masked(5, "x")],
  ["a control frame in parts", masked(9, "x", 0)],
  ["a long control frame", masked(9, "x".repeat(126))],
] as const)
  test(`${what} is refused`, () => assert.equal(read([frame]).valid, false));
