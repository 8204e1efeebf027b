/** The files of one json-file log, oldest first: `<path>.2`, `<path>.1`, `<path>`. Reads in bounded pieces. */
import { type FileHandle, open } from "node:fs/promises";

const CHUNK_BYTES = 64 * 1024;
/** A log line is at most 16 KiB of text, escaped up to six times, plus its frame. */
const MAX_LINE_BYTES = 256 * 1024;

/** An open file keeps being readable after a rotation renamed it. */
export interface LogFile extends AsyncDisposable {
  readonly handle: FileHandle;
  readonly inode: bigint;
}

export async function openLogFile(path: string): Promise<LogFile | undefined> {
  try {
    const handle = await open(path, "r");
    const { ino } = await handle.stat({ bigint: true });
    return { handle, inode: ino, [Symbol.asyncDispose]: () => handle.close() };
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

/** All files that are there, oldest first, each once even when a rotation happens meanwhile. */
export async function openAll(path: string, maxFiles: number): Promise<LogFile[]> {
  const files: LogFile[] = [];
  const names = [path, ...Array.from({ length: Math.max(0, maxFiles - 1) }, (_, i) => `${path}.${i + 1}`)];
  for (const name of names) {
    const file = await openLogFile(name);
    if (!file) continue;
    if (files.some((known) => known.inode === file.inode)) await file.handle.close();
    else files.unshift(file);
  }
  return files;
}

export interface Position {
  offset: number;
}

/** Whole lines from `position` on, until the end of what is written; `position` moves behind the last whole line. */
export async function* readLines(file: LogFile, position: Position): AsyncGenerator<string> {
  let rest = Buffer.alloc(0);
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  for (let at = position.offset; ; ) {
    const { bytesRead } = await file.handle.read(chunk, 0, CHUNK_BYTES, at);
    if (bytesRead === 0) return;
    at += bytesRead;
    let data = Buffer.concat([rest, chunk.subarray(0, bytesRead)]);
    for (let end = data.indexOf(10); end >= 0; end = data.indexOf(10)) {
      position.offset += end + 1;
      yield data.toString("utf8", 0, end);
      data = data.subarray(end + 1);
    }
    rest = data.length > MAX_LINE_BYTES ? Buffer.alloc(0) : data;
    if (data.length > MAX_LINE_BYTES) position.offset = at;
  }
}

/** Where the last `count` lines of a file begin, and how many lines that are (fewer when the file has fewer). */
export async function tailOffset(
  file: LogFile,
  count: number,
): Promise<{ readonly offset: number; readonly lines: number }> {
  const { size } = await file.handle.stat();
  let lines = 0;
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  let end = size;
  while (end > 0) {
    const start = Math.max(0, end - CHUNK_BYTES);
    const { bytesRead } = await file.handle.read(chunk, 0, end - start, start);
    for (let i = bytesRead - 1; i >= 0; i--) {
      // The newline that ends the file begins no further line.
      if (chunk[i] !== 10 || start + i === size - 1) continue;
      lines++;
      if (lines === count) return { offset: start + i + 1, lines };
    }
    end = start;
  }
  return { offset: 0, lines: size > 0 ? lines + 1 : 0 };
}
