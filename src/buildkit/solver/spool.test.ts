import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type Piece, Spool } from "./spool.ts";

const scratch = () => {
  const path = mkdtempSync(join(tmpdir(), "spool-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true }) };
};

const piece = (i: number, length: number): Piece => ({
  stream: i % 2 === 0 ? 1 : 2,
  atNs: BigInt(i),
  data: new Uint8Array(length).fill(i),
});

const plain = (pieces: readonly Piece[]) => pieces.map((one) => ({ ...one, data: new Uint8Array(one.data) }));

async function everything(spool: Spool): Promise<readonly Piece[]> {
  const all: Piece[] = [];
  for await (const one of spool.follow()) all.push(one);
  return plain(all);
}

test("what was said is read again piece by piece, however large: from memory, from the file, while it comes and afterwards", async () => {
  using directory = scratch();
  await using spool = new Spool(directory.path);
  const meanwhile = everything(spool);
  const said = Array.from({ length: 100 }, (_, i) => piece(i, i % 7 === 3 ? 300_000 : i));
  await Promise.all(said.map((one) => spool.append(one)));
  spool.end();
  assert.deepEqual(await meanwhile, said);
  assert.deepEqual(await everything(spool), said);
});

test("by position: what was appended at a place is read there", async () => {
  using directory = scratch();
  await using spool = new Spool(directory.path);
  const places = await Promise.all([10, 70_000, 20].map((length, i) => spool.append(piece(i, length))));
  for (const [i, { start, end }] of places.entries()) {
    const { pieces, next } = await spool.read(start);
    assert.equal(pieces[0]!.atNs, BigInt(i));
    assert.ok(next >= end);
  }
  assert.deepEqual(await spool.read(spool.size), { pieces: [], next: spool.size });
});

test("little output makes no file, and a file has no name that a killed builder could leave", async () => {
  using directory = scratch();
  await using small = new Spool(join(directory.path, "missing"));
  await small.append(piece(1, 1000));
  assert.equal(existsSync(join(directory.path, "missing")), false);
  await using large = new Spool(directory.path);
  await large.append(piece(1, 100_000));
  assert.deepEqual(readdirSync(directory.path), []);
});

test("a disk that does not take it: who appends and who follows are told, what came before is not lost", async () => {
  using directory = scratch();
  await using spool = new Spool(join(directory.path, "missing"));
  await spool.append(piece(1, 1000));
  await assert.rejects(spool.append(piece(2, 100_000)), /ENOENT/);
  const heard: Piece[] = [];
  await assert.rejects(async () => {
    for await (const one of spool.follow()) heard.push(one);
  }, /ENOENT/);
  assert.deepEqual(plain(heard), [piece(1, 1000)]);
});
