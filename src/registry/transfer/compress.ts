/** Layers for registries: gzip without a name or a time in it, so that the same tar always gives the same blob. */
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { constants, createGzip } from "node:zlib";
import { type Digest, digestOfHash } from "../../oci/digest.ts";

const CHUNK_BYTES = 1024 * 1024;

export interface Compression {
  readonly source: string;
  readonly target: string;
  /** Plain bytes read so far. */
  readonly onBytes: (soFar: number) => void;
  readonly signal: AbortSignal;
}

export async function compressFile({
  source,
  target,
  onBytes,
  signal,
}: Compression): Promise<{ digest: Digest; size: number }> {
  const hash = createHash("sha256");
  let [read, size] = [0, 0];
  const count = new Transform({
    transform(bytes: Buffer, _encoding, next) {
      read += bytes.length;
      onBytes(read);
      next(null, bytes);
    },
  });
  const measure = new Transform({
    transform(bytes: Buffer, _encoding, next) {
      hash.update(bytes);
      size += bytes.length;
      next(null, bytes);
    },
  });
  await pipeline(
    createReadStream(source, { highWaterMark: CHUNK_BYTES }),
    count,
    createGzip({ level: constants.Z_DEFAULT_COMPRESSION, chunkSize: CHUNK_BYTES }),
    measure,
    createWriteStream(target, { mode: 0o600, highWaterMark: CHUNK_BYTES }),
    { signal },
  );
  return { digest: digestOfHash(hash.digest()), size };
}
