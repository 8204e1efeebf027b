/**
 * Bytes that somebody says faster than somebody else reads: the first stay in memory, the rest goes to a file without a name. Any number of
 * readers, each from the beginning, at its own pace.
 * Lifecycle: `append` ... -> `end` -> disposal (readers are over by then).
 */
import { randomBytes } from "node:crypto";
import { closeSync, openSync, unlinkSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";

export interface Piece {
  readonly stream: 1 | 2;
  readonly data: Uint8Array;
}

const MEMORY_BYTES = 64 * 1024;
const READ_BYTES = 64 * 1024;

interface Extent {
  readonly stream: 1 | 2;
  readonly offset: number;
  readonly length: number;
}

export class Spool implements AsyncDisposable {
  readonly #memory: Piece[] = [];
  #memoryBytes = 0;
  /** What follows the memory's, in the file. */
  readonly #extents: Extent[] = [];
  #fileBytes = 0;
  #file: Promise<FileHandle> | undefined;
  #writing: Promise<unknown> = Promise.resolve();
  #ended = false;
  #changed = Promise.withResolvers<void>();

  /** In `directory` the file is made, when it is needed. */
  constructor(private readonly directory: string) {}

  append(stream: 1 | 2, data: Uint8Array): void {
    if (data.length === 0 || this.#ended) return;
    if (this.#extents.length === 0 && this.#memoryBytes + data.length <= MEMORY_BYTES) {
      this.#memory.push({ stream, data });
      this.#memoryBytes += data.length;
    } else this.#spill(stream, data);
    this.#wake();
  }

  /** Nothing more will be said. */
  end(): void {
    this.#ended = true;
    this.#wake();
  }

  /** Everything from the beginning, as it comes, until the end. */
  async *read(): AsyncGenerator<Piece> {
    for (let next = 0; ; ) {
      // As they are before looking: what comes while we look is seen by the next look.
      const [changed, ended] = [this.#changed.promise, this.#ended];
      const piece = await this.#at(next);
      if (piece) {
        next++;
        yield* piece;
      } else if (ended) return;
      else await changed;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.end();
    await this.#writing;
    await (await this.#file)?.close();
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }

  async #at(index: number): Promise<AsyncIterable<Piece> | Iterable<Piece> | undefined> {
    const piece = this.#memory[index];
    if (piece) return [piece];
    const extent = this.#extents[index - this.#memory.length];
    if (!extent) return undefined;
    await this.#writing;
    return this.#fromFile(extent);
  }

  async *#fromFile({ stream, offset, length }: Extent): AsyncGenerator<Piece> {
    const file = (await this.#file)!;
    for (let at = 0; at < length; ) {
      const buffer = Buffer.alloc(Math.min(READ_BYTES, length - at));
      const { bytesRead } = await file.read(buffer, 0, buffer.length, offset + at);
      if (bytesRead === 0) throw new Error("a build's log on disk is shorter than it was written");
      at += bytesRead;
      yield { stream, data: buffer.subarray(0, bytesRead) };
    }
  }

  #spill(stream: 1 | 2, data: Uint8Array): void {
    const offset = this.#fileBytes;
    this.#fileBytes += data.length;
    this.#extents.push({ stream, offset, length: data.length });
    this.#file ??= this.#open();
    this.#writing = this.#writing.then(async () => {
      const file = await this.#file!;
      await file.write(data, 0, data.length, offset);
    });
    // Told to whoever reads or disposes of it.
    this.#writing.catch(() => undefined);
  }

  async #open(): Promise<FileHandle> {
    const path = join(this.directory, `spool-${randomBytes(6).toString("hex")}`);
    closeSync(openSync(path, "wx", 0o600));
    const file = await open(path, "r+");
    unlinkSync(path);
    return file;
  }
}
