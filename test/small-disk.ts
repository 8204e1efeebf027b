/** A small file system of its own, for tests of what happens when it is full. */
import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, statfsSync, truncateSync, writeSync } from "node:fs";
import { join } from "node:path";

/** Runs a program; what it said when it failed, else empty. */
const complaint = (command: string, ...args: string[]): string => {
  const { status, stderr, error } = spawnSync(command, args, { encoding: "utf8" });
  return status === 0 ? "" : `${command}: ${error?.message ?? stderr}`;
};

/** Lifecycle: made and mounted -> `fill` and `empty`, in turn -> disposal unmounts it. */
export class SmallDisk implements Disposable {
  readonly directory = mkdtempSync("/var/tmp/hull-disk-");
  readonly path = join(this.directory, "disk");
  /** Why there is none; "" for one that is there. */
  readonly whyNot: string;
  readonly #filler = join(this.path, "filler");

  constructor(bytes: number) {
    const image = join(this.directory, "image");
    closeSync(openSync(image, "w"));
    truncateSync(image, bytes);
    this.whyNot =
      complaint("mke2fs", "-q", "-t", "ext4", "-m", "0", "-F", image) ||
      complaint("mkdir", this.path) ||
      complaint("mount", "-o", "loop", image, this.path);
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.path);
    return bavail * bsize;
  }

  /** Takes what is free but for so much: with 0 the last block. */
  fill(leaveBytes = 0): void {
    const file = openSync(this.#filler, "a");
    try {
      for (const size of [1 << 20, 1 << 12, 1]) {
        const zeros = Buffer.alloc(size);
        try {
          while (leaveBytes === 0 || this.freeBytes > leaveBytes + size) if (writeSync(file, zeros) < size) break;
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
        }
        if (leaveBytes > 0) break;
      }
    } finally {
      closeSync(file);
    }
  }

  empty(): void {
    rmSync(this.#filler, { force: true });
  }

  [Symbol.dispose](): void {
    complaint("umount", this.path);
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export const noSpace = /no space left on device|ENOSPC|database or disk is full/i;
