/** An append-only file that is renamed to `<path>.1` (and so on) when it is full: never truncated, never more than `maxFiles`. */
import { closeSync, fstatSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { dirname } from "node:path";

export interface RotatedFileOptions {
  readonly path: string;
  /** Bytes after which a new file begins. */
  readonly maxBytes?: number;
  /** How many files there are at most, the current one included. */
  readonly maxFiles?: number;
}

/** Lifecycle: opened by the constructor (throws what open throws), `write` is one write(2) per call, `close` ends it. */
export class RotatedFile implements Disposable {
  readonly #path: string;
  readonly #maxBytes: number;
  readonly #maxFiles: number;
  #descriptor: number;
  #size: number;

  constructor(options: RotatedFileOptions) {
    this.#path = options.path;
    this.#maxBytes = options.maxBytes ?? 10 * 1024 * 1024;
    this.#maxFiles = Math.max(1, options.maxFiles ?? 3);
    mkdirSync(dirname(this.#path), { recursive: true, mode: 0o710 });
    this.#descriptor = openSync(this.#path, "a", 0o640);
    this.#size = fstatSync(this.#descriptor).size;
  }

  write(text: string): void {
    const length = Buffer.byteLength(text);
    if (this.#size > 0 && this.#size + length > this.#maxBytes) this.#rotate();
    writeSync(this.#descriptor, text);
    this.#size += length;
  }

  #rotate(): void {
    rmSync(`${this.#path}.${this.#maxFiles - 1}`, { force: true });
    for (let i = this.#maxFiles - 2; i >= 0; i--) {
      const from = i === 0 ? this.#path : `${this.#path}.${i}`;
      renameIfPresent(from, `${this.#path}.${i + 1}`);
    }
    if (this.#maxFiles === 1) rmSync(this.#path, { force: true });
    const next = openSync(this.#path, "a", 0o640);
    closeSync(this.#descriptor); // Only now: a failure before leaves a descriptor that is ours.
    this.#descriptor = next;
    this.#size = fstatSync(next).size;
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function renameIfPresent(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}
