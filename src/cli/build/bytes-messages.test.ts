import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { BytesMessageSchema } from "../../buildkit/gen/moby/upload/v1/upload_pb.ts";
import { bytesMessages } from "./bytes-messages.ts";

test("a stream's pieces, small ones together and large ones in parts, are messages that protobuf reads", async () => {
  const pieces = [0, 1, 100_000, 200_000, 3_000_000, 7, 1_048_576].map((size) => randomBytes(size));
  const read: Uint8Array[] = [];
  const body = (async function* () {
    yield* pieces;
  })();
  for await (const { bytes } of bytesMessages(body)) {
    const frame = Buffer.from(bytes);
    assert.equal(frame[0], 0);
    assert.equal(frame.readUInt32BE(1), frame.length - 5);
    assert.ok(frame.length < 2 * 1024 * 1024);
    read.push(fromBinary(BytesMessageSchema, frame.subarray(5)).data);
  }
  assert.ok(Buffer.concat(read).equals(Buffer.concat(pieces)));
  assert.ok(read.length <= 7, String(read.length));
});
