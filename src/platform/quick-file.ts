/**
 * What every command asks of the file system before it has an engine. `node:fs` costs a command 4 ms of its start
 * (docs/decisions/0003-what-a-command-loads.md), mapping a file 0.1.
 */
import { builtins } from "./builtins.ts";

/** What is used of Bun's API. */
declare const Bun: {
  /** Throws the error of open(2) or mmap(2). */
  mmap(path: string): Uint8Array;
};

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code;

/** True for everything that open(2) finds, sockets too, which it refuses otherwise. */
export function isThere(path: string): boolean {
  try {
    Bun.mmap(path);
    return true;
  } catch (error) {
    return codeOf(error) !== "ENOENT" && codeOf(error) !== "ENOTDIR";
  }
}

/** The text of a small file; undefined when there is none. Throws the error of read(2). */
export function readIfThere(path: string): string | undefined {
  try {
    return new TextDecoder().decode(Bun.mmap(path));
  } catch (error) {
    if (codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR") return undefined;
    // An empty file and one that can't be mapped.
    return builtins.fs.readFileSync(path, "utf8");
  }
}
