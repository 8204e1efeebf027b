/**
 * Frames and records of docs/protocols.md. Pure encoding and decoding; no sockets here.
 */
import { Buffer } from "node:buffer";
import { HullError } from "../platform/errors.ts";

export const FRAME_HEADER_BYTES = 12;
export const MAX_PAYLOAD_BYTES = 16 * 1024 * 1024;

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly id: number;
  readonly payload: Buffer;
}

/** One record: see "Records" in docs/protocols.md. Text blobs are UTF-8. */
export interface WireRecord {
  readonly code: number;
  readonly flags: number;
  readonly ints: readonly bigint[];
  readonly blobs: readonly Buffer[];
}

export type Int = number | bigint;
export type Blob = string | Uint8Array;

export interface RecordInput {
  readonly code: number;
  readonly flags?: number;
  readonly ints?: readonly Int[];
  readonly blobs?: readonly Blob[];
}

export function encodeFrame(type: number, id: number, payload: Uint8Array, flags = 0): Buffer {
  if (payload.length > MAX_PAYLOAD_BYTES) {
    throw new HullError(
      "invalid-argument",
      `a message to keel has ${payload.length} bytes, at most ${MAX_PAYLOAD_BYTES} fit`,
    );
  }
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + payload.length);
  frame.writeUInt32LE(payload.length, 0);
  frame.writeUInt16LE(type, 4);
  frame.writeUInt16LE(flags, 6);
  frame.writeUInt32LE(id, 8);
  frame.set(payload, FRAME_HEADER_BYTES);
  return frame;
}

const nothing = Buffer.alloc(0);

/** Collects chunks and yields whole frames. Throws on an oversized frame: the stream can't be trusted then. */
export class FrameReader {
  #pending: Buffer = nothing;

  /** Bytes received after the last whole frame (what follows an ATTACH reply is raw). */
  get rest(): Buffer {
    return this.#pending;
  }

  *push(chunk: Buffer): Generator<Frame> {
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    for (let frame = this.#take(); frame; frame = this.#take()) yield frame;
  }

  #take(): Frame | undefined {
    const bytes = this.#pending;
    if (bytes.length < FRAME_HEADER_BYTES) return undefined;
    const length = bytes.readUInt32LE(0);
    if (length > MAX_PAYLOAD_BYTES) throw new HullError("internal", `keel sent a frame of ${length} bytes`);
    const end = FRAME_HEADER_BYTES + length;
    if (bytes.length < end) return undefined;
    // An empty view would keep the whole chunk alive for as long as the connection is quiet.
    this.#pending = end === bytes.length ? nothing : bytes.subarray(end);
    return {
      type: bytes.readUInt16LE(4),
      flags: bytes.readUInt16LE(6),
      id: bytes.readUInt32LE(8),
      payload: bytes.subarray(FRAME_HEADER_BYTES, end),
    };
  }
}

const blobBytes = (blob: Blob): Uint8Array => (typeof blob === "string" ? Buffer.from(blob) : blob);

/** u32 length, bytes, at least one NUL, padded to a multiple of 8. */
const blobSpace = (length: number): number => (4 + length + 1 + 7) & ~7;

/** Most are small numbers: those need no BigInt. */
function writeInt(out: Buffer, int: Int, at: number): number {
  if (typeof int !== "number" || !Number.isInteger(int) || int < 0 || int > 0xffffffff)
    return out.writeBigUInt64LE(BigInt.asUintN(64, BigInt(int)), at);
  return out.writeUInt32LE(int, at) + 4;
}

export function encodeRecord(record: RecordInput): Buffer {
  const ints = record.ints ?? [];
  const blobs = (record.blobs ?? []).map(blobBytes);
  const size = 8 + ints.length * 8 + blobs.reduce((sum, blob) => sum + blobSpace(blob.length), 0);
  const out = Buffer.alloc(size);
  out.writeUInt16LE(record.code, 0);
  out.writeUInt8(ints.length, 2);
  out.writeUInt8(blobs.length, 3);
  out.writeUInt32LE(record.flags ?? 0, 4);
  let at = 8;
  for (const int of ints) at = writeInt(out, int, at);
  for (const blob of blobs) {
    out.writeUInt32LE(blob.length, at);
    out.set(blob, at + 4);
    at += blobSpace(blob.length);
  }
  return out;
}

export const encodeRecords = (records: readonly RecordInput[]): Buffer => Buffer.concat(records.map(encodeRecord));

/** Decodes a payload of records. Throws `internal` when malformed. */
export function decodeRecords(payload: Buffer): WireRecord[] {
  const records: WireRecord[] = [];
  let at = 0;
  while (at < payload.length) {
    if (payload.length - at < 8) throw malformed(at);
    const counts = { ints: payload.readUInt8(at + 2), blobs: payload.readUInt8(at + 3) };
    const head = { code: payload.readUInt16LE(at), flags: payload.readUInt32LE(at + 4) };
    at += 8;
    if (payload.length - at < counts.ints * 8) throw malformed(at);
    const ints = Array.from({ length: counts.ints }, (_, i) => payload.readBigUInt64LE(at + i * 8));
    at += counts.ints * 8;
    const blobs: Buffer[] = [];
    for (let i = 0; i < counts.blobs; i++) {
      if (payload.length - at < 8) throw malformed(at);
      const length = payload.readUInt32LE(at);
      if (payload.length - at < blobSpace(length)) throw malformed(at);
      blobs.push(payload.subarray(at + 4, at + 4 + length));
      at += blobSpace(length);
    }
    records.push({ ...head, ints, blobs });
  }
  return records;
}

const malformed = (at: number): HullError => new HullError("internal", `malformed record from keel at byte ${at}`);
