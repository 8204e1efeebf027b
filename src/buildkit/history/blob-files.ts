/** Files by the hash of their bytes: logs of builds, what steps were made of. */
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { HullError } from "../../platform/errors.ts";

const CHUNK_BYTES = 256 * 1024;
const UNFINISHED = "new-";

export interface WrittenBlob {
  /** "sha256:..." */
  readonly digest: string;
  readonly size: number;
}

export class BlobFiles {
  constructor(private readonly directory: string) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    for (const name of readdirSync(directory)) if (name.startsWith(UNFINISHED)) rmSync(join(directory, name));
  }

  /** Whole or not at all. */
  async write(parts: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<WrittenBlob> {
    const path = join(this.directory, `${UNFINISHED}${randomBytes(8).toString("hex")}`);
    const hash = createHash("sha256");
    let size = 0;
    try {
      await using file = await open(path, "wx", 0o600);
      for await (const part of parts) {
        hash.update(part);
        size += part.length;
        await file.writeFile(part);
      }
      const digest = `sha256:${hash.digest("hex")}`;
      await rename(path, this.#path(digest));
      return { digest, size };
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    }
  }

  /** From `offset`, `size` bytes of it or up to its end. Throws not-found. */
  async *read(digest: string, offset = 0, size = Number.POSITIVE_INFINITY): AsyncGenerator<Buffer> {
    await using file = await open(this.#path(digest)).catch((cause: unknown) => {
      throw new HullError("not-found", `content ${digest}: not found`, { cause });
    });
    for (let [at, left] = [offset, size]; left > 0; ) {
      const buffer = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, left));
      const { bytesRead } = await file.read(buffer, 0, buffer.length, at);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
      at += bytesRead;
      left -= bytesRead;
    }
  }

  /** At once: what is written meanwhile stays. */
  remove(digests: readonly string[]): void {
    for (const digest of digests) rmSync(this.#path(digest), { force: true });
  }

  #path(digest: string): string {
    if (!/^sha256:[0-9a-f]{64}$/.test(digest))
      throw new HullError("invalid-argument", `invalid digest ${JSON.stringify(digest)}`);
    return join(this.directory, digest.slice("sha256:".length));
  }
}
