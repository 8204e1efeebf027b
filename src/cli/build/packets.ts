/** fsutil's packets (types.proto) written by hand into gRPC frames: a context has thousands of them, which general encoding makes slow. */
import { EncodedMessages } from "../../platform/grpc/frames.ts";
import type { ListedFile } from "./tree-walk.ts";

const FRAME_HEAD_BYTES = 5;
/** Longer than everything of a STAT packet but its names. */
const STAT_BYTES = 96;

/** Lifecycle: `stat` and `data` ... -> `take` (empties it) -> ... */
export class PacketWriter {
  #buffer: Buffer = Buffer.allocUnsafe(64 * 1024);
  #at = 0;

  get bytes(): number {
    return this.#at;
  }

  take(): EncodedMessages {
    const taken = new EncodedMessages(this.#buffer.subarray(0, this.#at));
    this.#buffer = Buffer.allocUnsafe(64 * 1024);
    this.#at = 0;
    return taken;
  }

  /** PACKET_STAT; files of a client are root's. */
  stat(file: ListedFile): void {
    const link = file.link;
    this.#reserve(STAT_BYTES + (file.path.length + link.length) * 3);
    const frame = this.#at;
    // Type 0 is left out. The stat's length takes three bytes, whatever it is: varints may be padded.
    this.#at += FRAME_HEAD_BYTES;
    this.#buffer[this.#at++] = 0x12;
    const length = this.#at;
    this.#at += 3;
    this.#text(0x0a, file.path);
    this.#number(0x10, file.goMode);
    this.#number(0x28, file.size);
    this.#long(0x30, file.mtimeNs);
    if (link !== "") this.#text(0x3a, link);
    const bytes = this.#at - length - 3;
    this.#buffer[length] = (bytes & 0x7f) | 0x80;
    this.#buffer[length + 1] = ((bytes >>> 7) & 0x7f) | 0x80;
    this.#buffer[length + 2] = bytes >>> 14;
    this.#frame(frame);
  }

  /** The listing is over: PACKET_STAT without a stat. */
  end(): void {
    this.#reserve(FRAME_HEAD_BYTES);
    this.#at += FRAME_HEAD_BYTES;
    this.#frame(this.#at - FRAME_HEAD_BYTES);
  }

  /** PACKET_DATA; empty bytes end the file. */
  data(id: number, bytes: Uint8Array): void {
    this.#reserve(bytes.length + 32);
    const frame = this.#at;
    this.#at += FRAME_HEAD_BYTES;
    this.#number(0x08, 2);
    this.#number(0x18, id);
    if (bytes.length > 0) {
      this.#number(0x22, bytes.length);
      this.#buffer.set(bytes, this.#at);
      this.#at += bytes.length;
    }
    this.#frame(frame);
  }

  fin(): void {
    this.#reserve(16);
    const frame = this.#at;
    this.#at += FRAME_HEAD_BYTES;
    this.#number(0x08, 3);
    this.#frame(frame);
  }

  #frame(start: number): void {
    this.#buffer[start] = 0;
    this.#buffer.writeUInt32BE(this.#at - start - FRAME_HEAD_BYTES, start + 1);
  }

  #text(tag: number, text: string): void {
    this.#buffer[this.#at++] = tag;
    const isShort = text.length < 42; // At most 127 bytes.
    const start = this.#at + (isShort ? 1 : 3);
    const bytes = this.#buffer.write(text, start);
    this.#buffer[this.#at] = isShort ? bytes : (bytes & 0x7f) | 0x80;
    if (!isShort) {
      this.#buffer[this.#at + 1] = ((bytes >>> 7) & 0x7f) | 0x80;
      this.#buffer[this.#at + 2] = bytes >>> 14;
    }
    this.#at = start + bytes;
  }

  /** Up to 2^53; 0 is left out, as proto3 has it. */
  #number(tag: number, value: number): void {
    if (value === 0) return;
    this.#buffer[this.#at++] = tag;
    let rest = value;
    for (; rest > 0x7f; rest = Math.floor(rest / 128)) this.#buffer[this.#at++] = (rest % 128) | 0x80;
    this.#buffer[this.#at++] = rest;
  }

  #long(tag: number, value: bigint): void {
    if (value === 0n) return;
    this.#buffer[this.#at++] = tag;
    // In two numbers: arithmetic on big ones is slow.
    const whole = BigInt.asUintN(64, value);
    let low = Number(whole & 0xfff_ffffn);
    let rest = Number(whole >> 28n);
    for (let group = 0; group < 4 && (rest > 0 || low > 0x7f); group++, low >>>= 7)
      this.#buffer[this.#at++] = (low & 0x7f) | 0x80;
    if (rest === 0) rest = low;
    for (; rest > 0x7f; rest = Math.floor(rest / 128)) this.#buffer[this.#at++] = (rest % 128) | 0x80;
    this.#buffer[this.#at++] = rest;
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#at + bytes));
    this.#buffer.copy(larger, 0, 0, this.#at);
    this.#buffer = larger;
  }
}
