import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { FileEntry } from "../files/entry.ts";
import { file } from "../files/tree-harness.ts";
import { FileTar } from "./file-tar.ts";

async function collect(tar: FileTar): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of tar) parts.push(part);
  return Buffer.concat(parts);
}

test("tar unpacks what was written, with modes, and times to the nanosecond", async () => {
  const directory = mkdtempSync(join(tmpdir(), "hull-tar-"));
  try {
    const contents = [Buffer.from("one"), Buffer.alloc(700_000, "two "), Buffer.alloc(512, "x")];
    const tar = new FileTar();
    const read = collect(tar);
    for (const [i, data] of contents.entries()) {
      const entry: FileEntry = {
        ...file(`any/${i}`),
        size: data.length,
        mode: 0o750 + i,
        mtimeNs: 1_600_000_000_987_654_321n,
      };
      await tar.begin(entry);
      for (let at = 0; at < data.length; at += 100_000) await tar.write(data.subarray(at, at + 100_000));
      await tar.end();
    }
    await tar.finish();
    execFileSync("tar", ["-C", directory, "-xpf", "-"], { input: await read });
    for (const [i, data] of contents.entries()) {
      const path = join(directory, String(i));
      assert.ok(readFileSync(path).equals(data));
      assert.equal(statSync(path).mode & 0o7777, 0o750 + i);
      assert.equal(statSync(path, { bigint: true }).mtimeNs, 1_600_000_000_987_654_321n);
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

test("a file that grew or shrank while it was read is told", async () => {
  for (const [size, data] of [
    [2, "one"],
    [4, "one"],
  ] as const) {
    const tar = new FileTar();
    await tar.begin({ ...file("x"), size });
    await assert.rejects(async () => {
      await tar.write(Buffer.from(data));
      await tar.end();
    }, /changed while the client was reading it/);
  }
});

test("a reader that stops ends the writer", async () => {
  const tar = new FileTar();
  await tar.begin({ ...file("x"), size: 10_000_000 });
  for await (const _ of tar) break;
  await assert.rejects(tar.write(Buffer.alloc(10)), /not taken any more/);
});
