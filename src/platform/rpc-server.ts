/** The answering side of rpc.ts: one handler per method, on connections from a unix listener. */
import type { Socket } from "node:net";
import { HullError } from "./errors.ts";
import {
  encodeError,
  encodeMessage,
  type ItemOf,
  type Message,
  MessageReader,
  type Methods,
  type ParamsOf,
  type ResultOf,
  type StreamNames,
  type UnaryNames,
} from "./rpc.ts";

export interface CallContext {
  /** Aborted by `cancel` and when the connection ends. */
  readonly signal: AbortSignal;
  /** The caller's W3C traceparent. */
  readonly trace: string | undefined;
}

export type UnaryHandlers<S extends Methods<S>> = {
  readonly [M in UnaryNames<S>]: (params: ParamsOf<S, M>, context: CallContext) => Promise<ResultOf<S, M>>;
};
export type StreamHandlers<S extends Methods<S>> = {
  readonly [M in StreamNames<S>]: (params: ParamsOf<S, M>, context: CallContext) => AsyncIterable<ItemOf<S, M>>;
};

export interface Handlers<S extends Methods<S>> {
  readonly unary: UnaryHandlers<S>;
  readonly streams: StreamHandlers<S>;
}

type AnyUnary = (params: unknown, context: CallContext) => Promise<unknown>;
type AnyStream = (params: unknown, context: CallContext) => AsyncIterable<unknown>;

/** Answers calls on one connection until it ends. Handlers run concurrently; a malformed message ends the connection. */
export function serveConnection<S extends Methods<S>>(socket: Socket, handlers: Handlers<S>): void {
  const running = new Map<number, AbortController>();
  const reader = new MessageReader();
  const connection = { socket, running, handlers: handlers as unknown as AnyHandlers };
  socket.on("data", (chunk: Buffer) => {
    try {
      for (const message of reader.push(chunk)) accept(connection, message);
    } catch (error) {
      socket.destroy(error as Error);
    }
  });
  socket.on("error", () => {});
  socket.once("close", () => {
    for (const call of running.values()) call.abort(new HullError("cancelled", "the caller went away"));
  });
}

interface AnyHandlers {
  readonly unary: Readonly<Record<string, AnyUnary>>;
  readonly streams: Readonly<Record<string, AnyStream>>;
}

interface ServedConnection {
  readonly socket: Socket;
  readonly running: Map<number, AbortController>;
  readonly handlers: AnyHandlers;
}

function accept(connection: ServedConnection, message: Message): void {
  if (message.kind === "cancel") {
    connection.running.get(message.id)?.abort(new HullError("cancelled", "the caller cancelled"));
  } else if (message.kind === "call") {
    const controller = new AbortController();
    connection.running.set(message.id, controller);
    void answer(connection, message, controller.signal).finally(() => connection.running.delete(message.id));
  }
}

async function answer(
  connection: ServedConnection,
  call: Extract<Message, { kind: "call" }>,
  signal: AbortSignal,
): Promise<void> {
  const { socket, handlers } = connection;
  const { id, method, params } = call;
  const context = { signal, trace: call.trace };
  const unary = own(handlers.unary, method);
  const stream = own(handlers.streams, method);
  try {
    if (unary) {
      write(socket, { kind: "result", id, value: (await unary(params, context)) ?? null });
    } else if (stream) {
      for await (const value of stream(params, context)) await written(socket, { kind: "item", id, value }, signal);
      write(socket, { kind: "end", id });
    } else {
      throw new HullError("unimplemented", `no method ${method}`);
    }
  } catch (error) {
    write(socket, { kind: "error", id, error: encodeError(error) });
  }
}

const own = <T>(table: Readonly<Record<string, T>>, name: string): T | undefined =>
  Object.hasOwn(table, name) ? table[name] : undefined;

function write(socket: Socket, message: Message): boolean {
  return socket.writable ? socket.write(encodeMessage(message)) : true;
}

/** Writes and waits for a reader that is slower than the stream. */
async function written(socket: Socket, message: Message, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  if (write(socket, message)) return;
  await new Promise<void>((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    socket.once("drain", () => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    });
  });
}
