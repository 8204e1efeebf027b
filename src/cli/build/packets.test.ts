import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { PacketSchema } from "../../buildkit/gen/fsutil/types_pb.ts";
import { PacketWriter } from "./packets.ts";

const times = [0n, 1n, 127n, 128n, 2n ** 28n - 1n, 2n ** 28n, 1_795_415_374_810_947_732n, -1n, -(2n ** 40n)];
for (const mtimeNs of times)
  test(`a file with the time ${mtimeNs} is written so that protobuf reads it`, () => {
    const writer = new PacketWriter();
    const path = `${"é".repeat(50)}/name`;
    const file = { path, name: "name", goMode: 2 ** 31 + 0o755, isDirectory: true, isFile: false };
    writer.stat({ ...file, size: 5_000_000_000, mtimeNs, link: "somewhere", inode: "" });
    const { stat } = fromBinary(PacketSchema, writer.take().bytes.subarray(5));
    assert.deepEqual(
      [stat?.path, stat?.mode, stat?.size, stat?.modTime, stat?.linkname],
      [path, 2 ** 31 + 0o755, 5_000_000_000n, mtimeNs, "somewhere"],
    );
  });
