/**
 * The server's end of a WebSocket (RFC 6455) as a stream of the bytes in its messages: what the client sends in text or binary frames is
 * read, what is written goes out in binary frames. Lifecycle: taken over from HTTP -> bytes both ways -> the client's close frame ends
 * reading, `end` sends ours and ends the connection.
 */
import { createHash } from "node:crypto";
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import type { RawConnection } from "./response.ts";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** Sec-WebSocket-Accept for a client's key. */
export const acceptKey = (key: string): string => createHash("sha1").update(`${key}${GUID}`).digest("base64");

const CONTINUATION = 0;
const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;
const NORMAL_CLOSURE = 1000;
const PROTOCOL_ERROR = 1002;
const MAX_CONTROL_BYTES = 125;

/** One frame with its header, unmasked as servers send them. */
export function frameOf(opcode: number, payload: Uint8Array): Buffer {
  const { length } = payload;
  const extra = length < 126 ? 0 : length < 65536 ? 2 : 8;
  const header = Buffer.alloc(2 + extra);
  header[0] = 0x80 | opcode;
  header[1] = extra === 0 ? length : extra === 2 ? 126 : 127;
  if (extra === 2) header.writeUInt16BE(length, 2);
  if (extra === 8) header.writeBigUInt64BE(BigInt(length), 2);
  return Buffer.concat([header, payload]);
}

interface Frame {
  readonly opcode: number;
  readonly mask: Buffer;
  readonly length: number;
}

/** What a client's frames carry, piece by piece: no frame is held as a whole but control frames, which are short. */
export class FrameReader {
  #have: Buffer = Buffer.alloc(0);
  #frame: Frame | undefined;
  #done = 0;

  constructor(
    private readonly handlers: {
      readonly onData: (bytes: Buffer) => void;
      readonly onControl: (opcode: number, payload: Buffer) => void;
    },
  ) {}

  /** False for bytes that are no frames of a client. */
  push(bytes: Buffer): boolean {
    this.#have = this.#have.length === 0 ? bytes : Buffer.concat([this.#have, bytes]);
    while (this.#have.length > 0) {
      if (!this.#frame) {
        const header = readHeader(this.#have);
        if (header === "invalid") return false;
        if (header === "short") return true;
        this.#frame = header.frame;
        this.#done = 0;
        this.#have = this.#have.subarray(header.bytes);
      }
      if (!this.#payload(this.#frame)) return true;
    }
    return true;
  }

  /** False when more is needed. */
  #payload(frame: Frame): boolean {
    const isControl = frame.opcode >= CLOSE;
    const size = Math.min(this.#have.length, frame.length - this.#done);
    if (isControl && size < frame.length) return false;
    const part = unmask(this.#have.subarray(0, size), frame.mask, this.#done);
    this.#have = this.#have.subarray(size);
    this.#done += size;
    if (this.#done === frame.length) this.#frame = undefined;
    if (isControl) this.handlers.onControl(frame.opcode, part);
    else if (part.length > 0) this.handlers.onData(part);
    return this.#frame === undefined;
  }
}

function readHeader(bytes: Buffer): { readonly frame: Frame; readonly bytes: number } | "short" | "invalid" {
  if (bytes.length < 2) return "short";
  const [first = 0, second = 0] = bytes;
  const opcode = first & 0x0f;
  const isKnown = [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG].includes(opcode);
  // Extensions were not agreed on, and clients mask.
  if (!isKnown || (first & 0x70) !== 0 || (second & 0x80) === 0) return "invalid";
  const short = second & 0x7f;
  if (opcode >= CLOSE && ((first & 0x80) === 0 || short > MAX_CONTROL_BYTES)) return "invalid";
  const extra = short === 126 ? 2 : short === 127 ? 8 : 0;
  const end = 2 + extra + 4;
  if (bytes.length < end) return "short";
  const length = extra === 2 ? bytes.readUInt16BE(2) : extra === 8 ? Number(bytes.readBigUInt64BE(2)) : short;
  if (!Number.isSafeInteger(length)) return "invalid";
  return { frame: { opcode, mask: bytes.subarray(end - 4, end), length }, bytes: end };
}

function unmask(bytes: Buffer, mask: Buffer, from: number): Buffer {
  const plain = Buffer.allocUnsafe(bytes.length);
  for (let i = 0; i < bytes.length; i++) plain[i] = bytes[i]! ^ mask[(from + i) & 3]!;
  return plain;
}

const closing = (code: number): Buffer => {
  const payload = Buffer.alloc(2);
  payload.writeUInt16BE(code, 0);
  return frameOf(CLOSE, payload);
};

class WebSocketStream extends Duplex {
  #closed = false;
  readonly #reader = new FrameReader({
    onData: (bytes) => {
      if (!this.push(bytes)) this.socket.pause();
    },
    onControl: (opcode, payload) => {
      if (opcode === PING) this.socket.write(frameOf(PONG, payload));
      else if (opcode === CLOSE) this.#inputEnded();
    },
  });
  #inputDone = false;

  constructor(
    private readonly socket: Socket,
    { head, ended }: RawConnection,
  ) {
    super({ allowHalfOpen: true });
    socket.on("data", (bytes) => this.#take(bytes));
    socket.once("end", () => this.#inputEnded());
    socket.once("close", () => this.destroy());
    socket.on("error", (error) => this.destroy(error));
    if (head.length > 0) this.#take(head);
    if (ended || socket.readableEnded) this.#inputEnded();
  }

  override _read(): void {
    this.socket.resume();
  }

  override _write(bytes: Buffer, _: BufferEncoding, done: (error?: Error | null) => void): void {
    if (this.socket.write(frameOf(BINARY, bytes))) done();
    else this.socket.once("drain", done);
  }

  override _final(done: () => void): void {
    this.#close(NORMAL_CLOSURE);
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.socket.destroySoon();
    done(error);
  }

  #take(bytes: Buffer): void {
    if (this.#inputDone || this.#reader.push(bytes)) return;
    this.#close(PROTOCOL_ERROR);
    this.#inputEnded();
  }

  #inputEnded(): void {
    if (this.#inputDone) return;
    this.#inputDone = true;
    this.push(null);
  }

  #close(code: number): void {
    if (this.#closed) return;
    this.#closed = true;
    this.socket.end(closing(code));
  }
}

/** The same connection as plain bytes, for who expects a socket: what is used of one is what a stream has. */
export const webSocketBytes = (connection: RawConnection): RawConnection => ({
  socket: new WebSocketStream(connection.socket, connection) as unknown as Socket,
  head: Buffer.alloc(0),
  ended: false,
});
