/** gRPC's framing and texts (grpc PROTOCOL-HTTP2.md): length-prefixed messages, percent-encoded status messages, timeouts. */
import { HullError } from "../errors.ts";

const HEAD_BYTES = 5;
/** Larger messages are refused; bulk bytes travel in many. */
export const MAX_MESSAGE_BYTES = 32 * 1024 * 1024;

export function encodeMessage(payload: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(HEAD_BYTES + payload.length);
  frame[0] = 0;
  frame.writeUInt32BE(payload.length, 1);
  frame.set(payload, HEAD_BYTES);
  return frame;
}

/** Messages with their framing, encoded by whoever streams many: written as they are. */
export class EncodedMessages {
  constructor(readonly bytes: Uint8Array) {}
}

/** Cuts a byte stream into messages. Throws `unimplemented` (compressed) and `resource-exhausted` (too long). */
export class MessageReader {
  #chunks: Buffer[] = [];
  #bytes = 0;

  /** True when nothing of an unfinished message is held. */
  get empty(): boolean {
    return this.#bytes === 0;
  }

  push(chunk: Buffer): Buffer[] {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    const messages: Buffer[] = [];
    for (let next = this.#take(); next; next = this.#take()) messages.push(next);
    return messages;
  }

  #take(): Buffer | undefined {
    if (this.#bytes < HEAD_BYTES) return undefined;
    if (this.#chunks[0]!.length < HEAD_BYTES) this.#chunks = [Buffer.concat(this.#chunks)];
    const head = this.#chunks[0]!;
    if (head[0] !== 0) throw new HullError("unimplemented", "compressed messages are not supported");
    const length = head.readUInt32BE(1);
    if (length > MAX_MESSAGE_BYTES) {
      throw new HullError("resource-exhausted", `a message of ${length} bytes: at most ${MAX_MESSAGE_BYTES} are taken`);
    }
    if (this.#bytes < HEAD_BYTES + length) return undefined;
    const all = this.#chunks.length === 1 ? head : Buffer.concat(this.#chunks);
    const rest = all.subarray(HEAD_BYTES + length);
    this.#chunks = rest.length === 0 ? [] : [rest];
    this.#bytes = rest.length;
    return all.subarray(HEAD_BYTES, HEAD_BYTES + length);
  }
}

/** Every byte but printable ASCII and "%" as %XX. */
export const encodeStatusMessage = (text: string): string =>
  Buffer.from(text)
    .toString("latin1")
    .replace(
      /[^\x20-\x24\x26-\x7e]/g,
      (character) => `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`,
    );

/** A malformed escape stays as it is. */
export function decodeStatusMessage(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const unitMs: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };

/** Milliseconds of a grpc-timeout header; undefined when absent or malformed. */
export function parseTimeout(text: string | undefined): number | undefined {
  const match = /^(\d{1,8})([HMSmun])$/.exec(text ?? "");
  return match ? Number(match[1]) * unitMs[match[2]!]! : undefined;
}

export function formatTimeout(ms: number): string {
  const whole = Math.max(1, Math.ceil(ms));
  return whole < 1e8 ? `${whole}m` : `${Math.min(99_999_999, Math.ceil(whole / 1000))}S`;
}
