/** A stream as messages of one field of bytes (moby.upload.v1.BytesMessage, 1), written by hand into gRPC frames: small pieces travel together. */
import { EncodedMessages } from "../../platform/grpc/frames.ts";

const GATHERED_BYTES = 256 * 1024;
/** Clients' peers refuse messages of more than 4 MiB. */
const MOST_BYTES = 1024 * 1024;

export async function* bytesMessages(body: AsyncIterable<Uint8Array>): AsyncGenerator<EncodedMessages> {
  let held: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of body) {
    for (let at = 0; at < piece.length; at += MOST_BYTES) {
      const part = piece.subarray(at, at + MOST_BYTES);
      held.push(part);
      bytes += part.length;
      if (bytes < GATHERED_BYTES) continue;
      yield encoded(held, bytes);
      [held, bytes] = [[], 0];
    }
  }
  if (bytes > 0) yield encoded(held, bytes);
}

/** Lengths of messages and fields are of fixed size here: four bytes, and a varint of four. */
function encoded(pieces: readonly Uint8Array[], bytes: number): EncodedMessages {
  const head = Buffer.alloc(10);
  head.writeUInt32BE(bytes + 5, 1);
  head[5] = 0x0a;
  for (let i = 0; i < 4; i++) head[6 + i] = ((bytes >>> (7 * i)) & 0x7f) | (i < 3 ? 0x80 : 0);
  return new EncodedMessages(Buffer.concat([head, ...pieces]));
}
