/**
 * ttrpc's framing (github.com/containerd/ttrpc, PROTOCOL.md): ten bytes of head (length, stream id, type, flags), then a protobuf
 * message. Unary calls only: streams go over gRPC.
 */
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { HullError } from "../../platform/errors.ts";

export const REQUEST = 1;
export const RESPONSE = 2;

const HEAD_BYTES = 10;
/** ttrpc's own limit is 4 MiB; what is larger between our own daemons still goes through. */
const MAX_MESSAGE_BYTES = 32 * 1024 * 1024;

export interface Frame {
  readonly streamId: number;
  readonly type: number;
  readonly payload: Uint8Array;
}

export function encodeFrame({ streamId, type, payload }: Frame): Buffer {
  const frame = Buffer.allocUnsafe(HEAD_BYTES + payload.length);
  frame.writeUInt32BE(payload.length, 0);
  frame.writeUInt32BE(streamId, 4);
  frame[8] = type;
  frame[9] = 0;
  frame.set(payload, HEAD_BYTES);
  return frame;
}

/** Cuts a byte stream into frames. Throws `resource-exhausted` for one that is too long. */
export class FrameReader {
  #chunks: Buffer[] = [];
  #bytes = 0;

  push(chunk: Buffer): Frame[] {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    const frames: Frame[] = [];
    for (let next = this.#take(); next; next = this.#take()) frames.push(next);
    return frames;
  }

  #take(): Frame | undefined {
    if (this.#bytes < HEAD_BYTES) return undefined;
    if (this.#chunks[0]!.length < HEAD_BYTES) this.#chunks = [Buffer.concat(this.#chunks)];
    const length = this.#chunks[0]!.readUInt32BE(0);
    if (length > MAX_MESSAGE_BYTES)
      throw new HullError("resource-exhausted", `a message of ${length} bytes: at most ${MAX_MESSAGE_BYTES} are taken`);
    const end = HEAD_BYTES + length;
    if (this.#bytes < end) return undefined;
    const all = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks);
    // Nothing is kept of a chunk that is used up.
    this.#chunks = all.length === end ? [] : [all.subarray(end)];
    this.#bytes -= end;
    return { streamId: all.readUInt32BE(4), type: all[8]!, payload: all.subarray(HEAD_BYTES, end) };
  }
}

/** ttrpc.Request. */
export interface Request {
  /** Full name: "containerd.services.tasks.v1.Tasks". */
  readonly service: string;
  readonly method: string;
  readonly payload: Uint8Array;
  /** 0: none. */
  readonly timeoutMs: number;
  readonly metadata: ReadonlyMap<string, string>;
}

const NS_PER_MS = 1_000_000n;

export function encodeRequest(request: Request): Uint8Array {
  const writer = new BinaryWriter();
  writer.tag(1, WireType.LengthDelimited).string(request.service);
  writer.tag(2, WireType.LengthDelimited).string(request.method);
  writer.tag(3, WireType.LengthDelimited).bytes(request.payload);
  if (request.timeoutMs > 0) writer.tag(4, WireType.Varint).int64(BigInt(Math.ceil(request.timeoutMs)) * NS_PER_MS);
  for (const [key, value] of request.metadata) {
    writer.tag(5, WireType.LengthDelimited).fork();
    writer.tag(1, WireType.LengthDelimited).string(key);
    writer.tag(2, WireType.LengthDelimited).string(value);
    writer.join();
  }
  return writer.finish();
}

/** Throws on malformed bytes. */
export function decodeRequest(bytes: Uint8Array): Request {
  let service = "";
  let method = "";
  let payload: Uint8Array = new Uint8Array();
  let timeoutMs = 0;
  const metadata = new Map<string, string>();
  eachField(new BinaryReader(bytes), (reader, field) => {
    if (field === 1) service = reader.string();
    else if (field === 2) method = reader.string();
    else if (field === 3) payload = reader.bytes();
    else if (field === 4) timeoutMs = Number(BigInt(reader.int64()) / NS_PER_MS);
    else if (field === 5) {
      const [key, value] = pairOf(reader.bytes());
      metadata.set(key, value);
    } else return false;
    return true;
  });
  return { service, method, payload, timeoutMs, metadata };
}

/** google.rpc.Status with one google.rpc.ErrorInfo: what a failed call says. */
export interface Failure {
  /** gRPC's number. */
  readonly status: number;
  readonly message: string;
  /** Our code. */
  readonly reason: string;
  /** JSON values. */
  readonly facts: ReadonlyMap<string, string>;
}

export type Response = { readonly payload: Uint8Array } | { readonly failure: Failure };

const ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo";

export function encodeResponse(response: Response): Uint8Array {
  const writer = new BinaryWriter();
  if ("payload" in response) return writer.tag(2, WireType.LengthDelimited).bytes(response.payload).finish();
  const { status, message, reason, facts } = response.failure;
  writer.tag(1, WireType.LengthDelimited).fork();
  writer.tag(1, WireType.Varint).int32(status);
  writer.tag(2, WireType.LengthDelimited).string(message);
  writer.tag(3, WireType.LengthDelimited).fork();
  writer.tag(1, WireType.LengthDelimited).string(ERROR_INFO);
  writer.tag(2, WireType.LengthDelimited).fork();
  writer.tag(1, WireType.LengthDelimited).string(reason);
  for (const [key, value] of facts) {
    writer.tag(3, WireType.LengthDelimited).fork();
    writer.tag(1, WireType.LengthDelimited).string(key);
    writer.tag(2, WireType.LengthDelimited).string(value);
    writer.join();
  }
  return writer.join().join().join().finish();
}

/** Throws on malformed bytes. */
export function decodeResponse(bytes: Uint8Array): Response {
  let payload: Uint8Array = new Uint8Array();
  let failure: Failure | undefined;
  eachField(new BinaryReader(bytes), (reader, field) => {
    if (field === 1) failure = failureOf(reader.bytes());
    else if (field === 2) payload = reader.bytes();
    else return false;
    return true;
  });
  return failure && failure.status !== 0 ? { failure } : { payload };
}

function failureOf(bytes: Uint8Array): Failure {
  let status = 0;
  let message = "";
  let reason = "";
  const facts = new Map<string, string>();
  const inInfo = (reader: BinaryReader, field: number): boolean => {
    if (field === 1) reason = reader.string();
    else if (field === 3) {
      const [key, value] = pairOf(reader.bytes());
      facts.set(key, value);
    } else return false;
    return true;
  };
  eachField(new BinaryReader(bytes), (reader, field) => {
    if (field === 1) status = reader.int32();
    else if (field === 2) message = reader.string();
    else if (field === 3) {
      const [type, value] = anyOf(reader.bytes());
      if (type === ERROR_INFO) eachField(new BinaryReader(value), inInfo);
    } else return false;
    return true;
  });
  return { status, message, reason, facts };
}

/** Calls `take` for each field; what it does not know is skipped. */
function eachField(reader: BinaryReader, take: (reader: BinaryReader, field: number) => boolean): void {
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (!take(reader, field)) reader.skip(type, field);
  }
}

function pairOf(bytes: Uint8Array): [string, string] {
  const pair: [string, string] = ["", ""];
  eachField(new BinaryReader(bytes), (reader, field) => {
    if (field !== 1 && field !== 2) return false;
    pair[field - 1] = reader.string();
    return true;
  });
  return pair;
}

function anyOf(bytes: Uint8Array): [string, Uint8Array] {
  let type = "";
  let value: Uint8Array = new Uint8Array();
  eachField(new BinaryReader(bytes), (reader, field) => {
    if (field === 1) type = reader.string();
    else if (field === 2) value = reader.bytes();
    else return false;
    return true;
  });
  return [type, value];
}
