/** Whether a file is an archive that ADD unpacks: a tar, plain or compressed, by its first bytes and never by its name. */
import { open } from "node:fs/promises";
import { join } from "node:path";
import { constants, gunzipSync, zstdDecompressSync } from "node:zlib";
import { codeOf } from "../../platform/errors.ts";
import type { FileEntry, FileTree } from "../files/entry.ts";
import { objectName } from "../files/object-name.ts";

/** Enough to inflate the first header of a tar. */
export const ARCHIVE_HEAD_BYTES = 128 * 1024;
const BLOCK_BYTES = 512;
const CHECKSUM_AT = 148;
const CHECKSUM_BYTES = 8;

export async function isArchive(tree: FileTree, entry: FileEntry): Promise<boolean> {
  return entry.size > 0 && isArchiveHead(await readHead(tree, entry));
}

/** `head`: ARCHIVE_HEAD_BYTES, or all there are. */
export function isArchiveHead(head: Buffer): boolean {
  const inflate = inflaters.find(({ magic }) => head.subarray(0, magic.length).equals(magic))?.inflate;
  if (inflate === undefined) return isTarHeader(head);
  const plain = inflate(head);
  return plain === undefined || isTarHeader(plain);
}

interface Inflater {
  readonly magic: Buffer;
  /** Undefined: it cannot be looked into here; by its kind it is an archive. */
  readonly inflate: (head: Buffer) => Buffer | undefined;
}

const partial = (work: () => Buffer): Buffer => {
  try {
    return work();
  } catch {
    // Damaged: no archive, and copied as it is.
    return Buffer.alloc(0);
  }
};

const inflaters: readonly Inflater[] = [
  {
    magic: Buffer.from([0x1f, 0x8b, 0x08]),
    inflate: (head) => partial(() => gunzipSync(head, { finishFlush: constants.Z_SYNC_FLUSH })),
  },
  {
    magic: Buffer.from([0x28, 0xb5, 0x2f, 0xfd]),
    inflate: (head) => partial(() => zstdDecompressSync(head, { finishFlush: constants.ZSTD_e_flush })),
  },
  { magic: Buffer.from("BZh"), inflate: () => undefined },
  { magic: Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]), inflate: () => undefined },
];

/** Its checksum is right (pax(1), "ustar Interchange Format"; older tars have the same). */
function isTarHeader(bytes: Buffer): boolean {
  if (bytes.length < BLOCK_BYTES) return false;
  const block = bytes.subarray(0, BLOCK_BYTES);
  const text = block.toString("latin1", CHECKSUM_AT, CHECKSUM_AT + CHECKSUM_BYTES).replace(/[\0 ]+/g, "");
  if (!/^[0-7]+$/.test(text)) return false;
  let sum = CHECKSUM_BYTES * 0x20;
  for (const [i, byte] of block.entries()) if (i < CHECKSUM_AT || i >= CHECKSUM_AT + CHECKSUM_BYTES) sum += byte;
  return sum === Number.parseInt(text, 8);
}

async function readHead({ source }: FileTree, entry: FileEntry): Promise<Buffer> {
  const name = source.kind === "store" ? objectName(entry) : "";
  const paths =
    source.kind === "store"
      ? [join(source.directory, name.slice(0, 2), name)]
      : source.directories.map((directory) => join(directory, entry.path));
  for (const path of paths) {
    try {
      await using file = await open(path, "r");
      const { buffer, bytesRead } = await file.read(Buffer.alloc(ARCHIVE_HEAD_BYTES), 0, ARCHIVE_HEAD_BYTES, 0);
      return buffer.subarray(0, bytesRead);
    } catch (error) {
      if (codeOf(error) !== "not-found" || path === paths.at(-1)) throw error;
    }
  }
  return Buffer.alloc(0);
}
