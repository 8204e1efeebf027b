/**
 * Output that somebody says faster than somebody else reads, kept whole: the first of it in memory, the rest in a file without a name. Any number
 * of readers, each from the beginning, at its own pace.
 * Lifecycle: `append`s -> `end` -> disposal, when nobody reads any more; meanwhile `follow`, or `read` by position.
 */
import { randomBytes } from "node:crypto";
import { type FileHandle, open, unlink } from "node:fs/promises";
import { join } from "node:path";
import { HullError } from "../../platform/errors.ts";

/** It is read again as it was appended, whole. */
export interface Piece {
  readonly stream: 1 | 2;
  readonly atNs: bigint;
  readonly data: Uint8Array;
}

/** From `start` to before `end`: positions count the bytes of all pieces with their headers. */
export interface Extent {
  readonly start: number;
  readonly end: number;
}

const MEMORY_BYTES = 64 * 1024;
const READ_BYTES = 256 * 1024;
/** stream (1 byte), atNs (8), length (4). */
const HEADER_BYTES = 13;

export class Spool implements AsyncDisposable {
  /** By their starts; what follows them is in the file. */
  readonly #memory = new Map<number, Piece>();
  #memoryEnd = 0;
  /** Whole pieces that can be read. */
  #size = 0;
  #file: Promise<FileHandle> | undefined;
  #writing: Promise<unknown> = Promise.resolve();
  #failure: unknown;
  /** Nothing more comes. */
  #over = false;
  #changed = Promise.withResolvers<void>();

  /** In `directory` the file is made, when it is needed. */
  constructor(private readonly directory: string) {}

  get size(): number {
    return this.#size;
  }

  /** Resolves when readers find it, with where it is. Rejects when it can't be written, which those who follow are told too. */
  append(piece: Piece): Promise<Extent> {
    if (!this.#file && this.#memoryEnd + HEADER_BYTES + piece.data.length <= MEMORY_BYTES) {
      this.#memory.set(this.#size, piece);
      this.#memoryEnd = this.#size + HEADER_BYTES + piece.data.length;
      return Promise.resolve(this.#grow(piece));
    }
    this.#file ??= openUnnamed(this.directory);
    const write = this.#writing.then(() => this.#write(piece));
    this.#writing = write.catch((error: unknown) => {
      this.#failure ??= error;
      this.#wake();
    });
    return write;
  }

  /** Nothing more is appended. */
  end(): void {
    void this.#writing.then(() => {
      this.#over = true;
      this.#wake();
    });
  }

  /** The pieces at a position, as many as one read gives, and where the next ones begin. None at `size`. */
  async read(at: number): Promise<{ readonly pieces: readonly Piece[]; readonly next: number }> {
    const known = this.#memory.get(at);
    if (known) return { pieces: [known], next: at + HEADER_BYTES + known.data.length };
    if (at >= this.#size) return { pieces: [], next: at };
    let bytes = await this.#bytes(at, Math.min(READ_BYTES, this.#size - at));
    const first = pieceEnd(bytes, 0);
    if (first > bytes.length) bytes = await this.#bytes(at, first);
    return piecesOf(bytes, at);
  }

  /** Everything from the beginning, as it comes, until the end. */
  async *follow(): AsyncGenerator<Piece> {
    for (let at = 0; ; ) {
      // As they are before looking: what comes while we look is seen by the next look.
      const [changed, over] = [this.#changed.promise, this.#over];
      const { pieces, next } = await this.read(at);
      at = next;
      yield* pieces;
      if (pieces.length > 0) continue;
      if (this.#failure !== undefined) throw this.#failure;
      if (over) return;
      await changed;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.end();
    await this.#writing;
    await this.#file?.then(
      (file) => file.close(),
      () => undefined, // Told to those who appended.
    );
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }

  #grow({ data }: Piece): Extent {
    const start = this.#size;
    this.#size += HEADER_BYTES + data.length;
    this.#wake();
    return { start, end: this.#size };
  }

  async #write(piece: Piece): Promise<Extent> {
    if (this.#failure !== undefined) throw this.#failure;
    const file = await this.#file!;
    const header = Buffer.alloc(HEADER_BYTES);
    header.writeUInt8(piece.stream, 0);
    header.writeBigInt64LE(piece.atNs, 1);
    header.writeUInt32LE(piece.data.length, 9);
    const bytes = Buffer.concat([header, piece.data]);
    for (let done = 0; done < bytes.length; ) {
      const position = this.#size - this.#memoryEnd + done;
      const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position);
      done += bytesWritten;
    }
    return this.#grow(piece);
  }

  async #bytes(at: number, length: number): Promise<Buffer> {
    const file = await this.#file!;
    const { bytesRead, buffer } = await file.read(Buffer.alloc(length), 0, length, at - this.#memoryEnd);
    if (bytesRead !== length) throw new HullError("internal", "output kept on disk is shorter than it was written");
    return buffer;
  }
}

const pieceEnd = (bytes: Buffer, at: number): number => at + HEADER_BYTES + bytes.readUInt32LE(at + 9);

/** The whole ones of `bytes`, which stand at `start`. */
function piecesOf(bytes: Buffer, start: number): { readonly pieces: readonly Piece[]; readonly next: number } {
  const pieces: Piece[] = [];
  let at = 0;
  while (at + HEADER_BYTES <= bytes.length) {
    const end = pieceEnd(bytes, at);
    if (end > bytes.length) break;
    const stream = bytes.readUInt8(at) === 2 ? 2 : 1;
    pieces.push({ stream, atNs: bytes.readBigInt64LE(at + 1), data: bytes.subarray(at + HEADER_BYTES, end) });
    at = end;
  }
  return { pieces, next: start + at };
}

async function openUnnamed(directory: string): Promise<FileHandle> {
  const path = join(directory, `spool-${randomBytes(6).toString("hex")}`);
  const file = await open(path, "wx+", 0o600);
  await unlink(path);
  return file;
}
