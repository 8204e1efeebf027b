/**
 * Room that a daemon keeps for itself on a file system: a file of zeros. What must be recorded on a full disk (an end, a removal) is
 * recorded in its place. Lifecycle: open (the file is made as large as there is room for) -> run... ; after each use it is filled up again.
 */
import { closeSync, fstatSync, mkdirSync, openSync, truncateSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { messageOf } from "./errors.ts";

const DEFAULT_BYTES = 512 * 1024;
const STEP_BYTES = 64 * 1024;

/** A full disk or quota, also as SQLite says it (its shared memory is an I/O error). */
export function isNoSpace(error: unknown): boolean {
  if (typeof error !== "object" || error === null) return false;
  if ("code" in error && (error.code === "ENOSPC" || error.code === "EDQUOT")) return true;
  if (error instanceof Error && /\bENOSPC\b|\bEDQUOT\b|database or disk is full/.test(messageOf(error))) return true;
  return "cause" in error && isNoSpace(error.cause);
}

export class Reserve {
  #isShort = false;

  constructor(
    private readonly path: string,
    private readonly bytes = DEFAULT_BYTES,
  ) {
    mkdirSync(dirname(path), { recursive: true, mode: 0o711 });
    this.fill();
  }

  /**
   * Does `work`, which leaves nothing half done when it throws; on a full disk a second time with the room of the reserve. In one turn
   * of the loop, so that little else gets that room.
   */
  run<T>(work: () => T): T {
    try {
      const result = work();
      if (this.#isShort) this.fill();
      return result;
    } catch (error) {
      if (!isNoSpace(error)) throw error;
    }
    try {
      truncateSync(this.path, 0);
      return work();
    } finally {
      this.fill();
    }
  }

  /** As large as there is room for, up to its size. A disk that is full now is tried again with the next use. */
  fill(): void {
    this.#isShort = true;
    try {
      const file = openSync(this.path, "a", 0o600);
      try {
        const zeros = Buffer.alloc(STEP_BYTES);
        for (let size = fstatSync(file).size; size < this.bytes; ) size += writeSync(file, zeros);
        this.#isShort = false;
      } finally {
        closeSync(file);
      }
    } catch (error) {
      if (!isNoSpace(error)) throw error;
    }
  }
}
