/**
 * The log of a vertex on disk: whole, in frames, read again by offset for whoever joins later.
 * Lifecycle: `LogFile.create` -> `append`s, one after the other -> readers from any frame's offset, meanwhile and afterwards -> `retain` and
 * `release` count who needs it: the last release removes the file. A builder that was killed leaves files: `removeLogs` at its start.
 */
import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, unlinkSync } from "node:fs";
import { type FileHandle, open, unlink } from "node:fs/promises";
import { join } from "node:path";
import { HullError } from "../../platform/errors.ts";

export interface LogFrame {
  readonly atNs: bigint;
  readonly stream: 1 | 2;
  readonly data: Uint8Array;
}

/** stream (1 byte), atNs (8), length (4). */
const HEADER_BYTES = 13;
export const MAX_FRAME_BYTES = 64 * 1024;
const READ_BYTES = 256 * 1024;
const ENDING = ".log";

export class LogFile {
  /** Whole frames that can be read. */
  #size = 0;
  #users = 1;
  #writing: Promise<unknown> = Promise.resolve();

  private constructor(
    readonly path: string,
    private readonly file: FileHandle,
  ) {}

  /** In use by the caller. */
  static async create(directory: string): Promise<LogFile> {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const path = join(directory, `${randomBytes(8).toString("hex")}${ENDING}`);
    return new LogFile(path, await open(path, "wx+", 0o600));
  }

  get size(): number {
    return this.#size;
  }

  /** Resolves when readers find it, with where it is. At most MAX_FRAME_BYTES. */
  async append(frame: LogFrame): Promise<{ readonly start: number; readonly end: number }> {
    const header = Buffer.alloc(HEADER_BYTES);
    header.writeUInt8(frame.stream, 0);
    header.writeBigInt64LE(frame.atNs, 1);
    header.writeUInt32LE(frame.data.length, 9);
    const write = this.#writing.then(() => this.#write(Buffer.concat([header, frame.data])));
    this.#writing = write.catch(() => undefined); // Told to the caller.
    return write;
  }

  /** The whole frames at `offset`, as many as fit into one read, and where the next ones begin. Empty at the end. */
  async read(offset: number): Promise<{ readonly frames: readonly LogFrame[]; readonly next: number }> {
    const buffer = Buffer.alloc(Math.min(READ_BYTES, this.#size - offset));
    const { bytesRead } = await this.file.read(buffer, 0, buffer.length, offset);
    if (bytesRead !== buffer.length) throw new HullError("internal", `${this.path} is shorter than it was written`);
    const frames: LogFrame[] = [];
    let at = 0;
    while (at + HEADER_BYTES <= bytesRead) {
      const end = at + HEADER_BYTES + buffer.readUInt32LE(at + 9);
      if (end > bytesRead) break;
      const stream = buffer.readUInt8(at) === 2 ? 2 : 1;
      frames.push({ stream, atNs: buffer.readBigInt64LE(at + 1), data: buffer.subarray(at + HEADER_BYTES, end) });
      at = end;
    }
    return { frames, next: offset + at };
  }

  retain(): void {
    this.#users++;
  }

  async release(): Promise<void> {
    if (--this.#users > 0) return;
    await this.#writing;
    await this.file.close();
    await unlink(this.path);
  }

  async #write(bytes: Buffer): Promise<{ readonly start: number; readonly end: number }> {
    const start = this.#size;
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await this.file.write(bytes, done, bytes.length - done, this.#size + done);
      done += bytesWritten;
    }
    this.#size += bytes.length;
    return { start, end: this.#size };
  }
}

/** Before any log is made. */
export function removeLogs(directory: string): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  for (const name of readdirSync(directory)) if (name.endsWith(ENDING)) unlinkSync(join(directory, name));
}
