import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { objectName } from "../files/object-name.ts";
import { file } from "../files/tree-harness.ts";
import { isArchive } from "./archive.ts";

const tar = execFileSync("tar", ["-cf", "-", "-C", "/etc", "passwd"]);
const random = Buffer.from(Array.from({ length: 4096 }, (_, i) => (i * 7919) % 251));
const large = Buffer.concat([tar, Buffer.alloc(4 * 1024 * 1024, "x")]);

const cases: readonly (readonly [string, Buffer, boolean])[] = [
  ["a tar", tar, true],
  ["a compressed tar", gzipSync(tar), true],
  ["a large compressed tar", gzipSync(large, { level: 0 }), true],
  ["a tar compressed by zstd", zstdCompressSync(tar), true],
  ["a compressed text", gzipSync("just text\n".repeat(1000)), false],
  ["a text compressed by zstd", zstdCompressSync(Buffer.from("just text\n")), false],
  ["what only begins as gzip does", Buffer.concat([Buffer.from([0x1f, 0x8b, 0x08]), random]), false],
  ["a text", Buffer.from("hello"), false],
  ["nothing", Buffer.alloc(0), false],
  ["a tar of nothing, which Docker copies as it is", Buffer.alloc(10240), false],
  ["other bytes", random, false],
];

for (const [name, bytes, expected] of cases)
  test(`${name} is ${expected ? "unpacked" : "copied"} by ADD, from contexts and from layers`, async () => {
    const directory = mkdtempSync(join(tmpdir(), "archive-"));
    try {
      const entry = { ...file("some/name"), size: bytes.length };
      const object = join(directory, "objects", objectName(entry).slice(0, 2), objectName(entry));
      for (const path of [object, join(directory, "lower/some/name")]) {
        mkdirSync(dirname(path), { recursive: true });
        writeFileSync(path, bytes);
      }
      const store = { kind: "store", directory: join(directory, "objects") } as const;
      const layers = { kind: "layers", directories: [join(directory, "upper"), join(directory, "lower")] } as const;
      for (const source of [store, layers]) assert.equal(await isArchive({ entries: [], source }, entry), expected);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
