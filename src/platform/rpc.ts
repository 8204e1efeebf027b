/**
 * Typed messages between our daemons: u32 length (little endian) + JSON on a unix stream socket. A service is a type that maps
 * method names to `Unary` or `Stream`; rpc-client.ts calls it, rpc-server.ts answers it.
 *
 * Lifecycle: a client keeps one connection and makes it anew when it breaks. A unary call in flight when the connection
 * breaks is sent again (so methods must be idempotent) until `retryForMs` is over, then fails with `unavailable`. A stream ends with
 * `unavailable` when the connection breaks. Aborting a call's signal sends `cancel`, which aborts the handler's signal.
 */
import { Buffer } from "node:buffer";
import { codeOf, type ErrorCode, HullError, messageOf } from "./errors.ts";

export interface Unary<Params, Result> {
  readonly params: Params;
  readonly result: Result;
}

export interface Stream<Params, Item> {
  readonly params: Params;
  readonly item: Item;
}

/** A service: `interface X { ping: Unary<{}, Pong>; events: Stream<{}, Event> }`. */
export type Methods<S> = { readonly [M in keyof S]: Unary<unknown, unknown> | Stream<unknown, unknown> };
export type ParamsOf<S, M extends keyof S> = S[M] extends { readonly params: infer P } ? P : never;
export type ResultOf<S, M extends keyof S> = S[M] extends { readonly result: infer R } ? R : never;
export type ItemOf<S, M extends keyof S> = S[M] extends { readonly item: infer I } ? I : never;
export type UnaryNames<S> = { [M in keyof S]: S[M] extends { readonly result: unknown } ? M : never }[keyof S] & string;
export type StreamNames<S> = { [M in keyof S]: S[M] extends { readonly item: unknown } ? M : never }[keyof S] & string;

export type Message =
  | {
      readonly kind: "call";
      readonly id: number;
      readonly method: string;
      readonly params: unknown;
      readonly trace?: string;
    }
  | { readonly kind: "cancel"; readonly id: number }
  | { readonly kind: "result"; readonly id: number; readonly value: unknown }
  | { readonly kind: "item"; readonly id: number; readonly value: unknown }
  | { readonly kind: "end"; readonly id: number }
  | { readonly kind: "error"; readonly id: number; readonly error: WireError };

export interface WireError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly facts: Readonly<Record<string, string | number>>;
}

export const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;

export function encodeMessage(message: Message): Buffer {
  const text = JSON.stringify(message);
  const length = Buffer.byteLength(text);
  if (length > MAX_MESSAGE_BYTES) {
    throw new HullError("invalid-argument", `a message of ${length} bytes exceeds ${MAX_MESSAGE_BYTES}`);
  }
  const frame = Buffer.allocUnsafe(4 + length);
  frame.writeUInt32LE(length, 0);
  frame.write(text, 4);
  return frame;
}

const nothing = Buffer.alloc(0);

/** Collects chunks and yields whole messages. Throws `invalid-argument` when the stream cannot be trusted any more. */
export class MessageReader {
  #pending: Buffer = nothing;

  *push(chunk: Buffer): Generator<Message> {
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    while (this.#pending.length >= 4) {
      const length = this.#pending.readUInt32LE(0);
      if (length > MAX_MESSAGE_BYTES) throw new HullError("invalid-argument", `a message announces ${length} bytes`);
      if (this.#pending.length < 4 + length) return;
      const text = this.#pending.toString("utf8", 4, 4 + length);
      // An empty view would keep the whole chunk alive for as long as the connection is quiet.
      this.#pending = this.#pending.length === 4 + length ? nothing : this.#pending.subarray(4 + length);
      yield parseMessage(text);
    }
  }
}

function parseMessage(text: string): Message {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new HullError("invalid-argument", "a message is not JSON", { cause: error });
  }
  if (typeof value !== "object" || value === null || !("kind" in value) || !("id" in value)) {
    throw new HullError("invalid-argument", "a message lacks its kind or id");
  }
  return value as Message;
}

export function encodeError(error: unknown): WireError {
  return { code: codeOf(error), message: messageOf(error), facts: error instanceof HullError ? error.facts : {} };
}

export const decodeError = (error: WireError): HullError =>
  new HullError(error.code, error.message, { facts: error.facts });
