/** The calling side of rpc.ts: one kept connection, made anew when it breaks. */
import { connect, type Socket } from "node:net";
import { HullError } from "./errors.ts";
import {
  decodeError,
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

export interface CallOptions {
  readonly signal?: AbortSignal;
  /** W3C traceparent. */
  readonly trace?: string;
  /** How long a missing or broken connection is tried again; 0: not at all. */
  readonly retryForMs?: number;
}

const RETRY_STEP_MS = 10;
const DEFAULT_RETRY_MS = 2000;

interface Pending {
  readonly deliver: (message: Message) => void;
  readonly broken: (error: HullError) => void;
}

interface Connection {
  readonly socket: Socket;
  readonly pending: Map<number, Pending>;
}

/** Lifecycle: the first call connects; `close` fails what is in flight. `onState` hears of each connect and each break. */
export class RpcClient<S extends Methods<S>> implements Disposable {
  #connection: Promise<Connection> | undefined;
  #nextId = 1;
  #closed = false;

  constructor(
    readonly path: string,
    private readonly onState: (up: boolean) => void = () => {},
    /** Who answers there, for messages. */
    private readonly peer = "the daemon",
  ) {}

  async call<M extends UnaryNames<S>>(
    method: M,
    params: ParamsOf<S, M>,
    options: CallOptions = {},
  ): Promise<ResultOf<S, M>> {
    const giveUpAt = Date.now() + (options.retryForMs ?? DEFAULT_RETRY_MS);
    for (;;) {
      try {
        return (await this.#once(method, params, options)) as ResultOf<S, M>;
      } catch (error) {
        const broken = error instanceof HullError && error.facts.connection === "broken";
        if (!broken || this.#closed || options.signal?.aborted || Date.now() >= giveUpAt) throw error;
        await new Promise((resolve) => setTimeout(resolve, RETRY_STEP_MS));
      }
    }
  }

  async *stream<M extends StreamNames<S>>(
    method: M,
    params: ParamsOf<S, M>,
    options: CallOptions = {},
  ): AsyncGenerator<ItemOf<S, M>, void, undefined> {
    const connection = await this.#connected();
    const { socket } = connection;
    const queue: Message[] = [];
    let wake = () => {};
    let failure: unknown;
    const fail = (error: unknown) => {
      failure = error;
      wake();
    };
    const id = this.#send(
      connection,
      { method, params, options },
      {
        deliver: (message) => {
          queue.push(message);
          // Back-pressure for the whole connection: streams of ours are slow, or read at once.
          if (queue.length === MAX_QUEUED) socket.pause();
          wake();
        },
        broken: fail,
      },
    );
    const onAbort = () => fail(options.signal?.reason ?? new HullError("cancelled", `${method} was cancelled`));
    options.signal?.addEventListener("abort", onAbort, { once: true });
    try {
      for (;;) {
        const message = queue.shift();
        if (queue.length === MAX_QUEUED - 1) socket.resume();
        if (message?.kind === "end") return;
        if (message?.kind === "error") throw decodeError(message.error);
        if (message?.kind === "item") yield message.value as ItemOf<S, M>;
        else if (failure !== undefined) throw failure;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      options.signal?.removeEventListener("abort", onAbort);
      if (connection.pending.delete(id)) socket.write(encodeMessage({ kind: "cancel", id }));
      socket.resume();
    }
  }

  /** Connects, or throws `unavailable`; for supervisors that want a held connection. */
  async open(): Promise<void> {
    await this.#connected();
  }

  close(): void {
    this.#closed = true;
    void this.#connection?.then(({ socket }) => socket.destroy()).catch(() => {});
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #once(method: string, params: unknown, options: CallOptions): Promise<unknown> {
    options.signal?.throwIfAborted();
    const connection = await this.#connected();
    return new Promise((resolve, reject) => {
      const finish = () => options.signal?.removeEventListener("abort", onAbort);
      const id = this.#send(
        connection,
        { method, params, options },
        {
          deliver: (message) => {
            finish();
            connection.pending.delete(id);
            if (message.kind === "error") reject(decodeError(message.error));
            else resolve(message.kind === "result" ? message.value : undefined);
          },
          broken: (error) => {
            finish();
            reject(error);
          },
        },
      );
      const onAbort = () => {
        connection.pending.delete(id);
        connection.socket.write(encodeMessage({ kind: "cancel", id }));
        reject(this.#reasonOf(method, options.signal?.reason));
      };
      options.signal?.addEventListener("abort", onAbort, { once: true });
    });
  }

  #reasonOf(method: string, reason: unknown): unknown {
    if (!(reason instanceof Error) || reason.name !== "TimeoutError") return reason;
    return new HullError(
      "deadline-exceeded",
      `${this.peer} has not answered "${method}" in time; look at its log ("hull system logs")`,
      { cause: reason },
    );
  }

  #send(connection: Connection, call: OutgoingCall, pending: Pending): number {
    const id = this.#nextId++;
    const { trace } = call.options;
    connection.pending.set(id, pending);
    const message = { kind: "call", id, method: call.method, params: call.params } as const;
    connection.socket.write(encodeMessage(trace === undefined ? message : { ...message, trace }));
    return id;
  }

  #connected(): Promise<Connection> {
    if (this.#closed)
      return Promise.reject(new HullError("unavailable", `${this.peer} is not called any more: the client is closed`));
    this.#connection ??= this.#connect();
    return this.#connection;
  }

  #connect(): Promise<Connection> {
    const socket = connect({ path: this.path });
    const connection: Connection = { socket, pending: new Map() };
    const reader = new MessageReader();
    socket.on("data", (chunk: Buffer) => {
      try {
        for (const message of reader.push(chunk)) connection.pending.get(message.id)?.deliver(message);
      } catch (error) {
        socket.destroy(error as Error);
      }
    });
    return new Promise((resolve, reject) => {
      let up = false;
      let reason: Error | undefined;
      socket.once("connect", () => {
        up = true;
        resolve(connection);
        this.onState(true);
      });
      socket.on("error", (error) => (reason = error));
      socket.once("close", () => {
        this.#connection = undefined;
        const broken = brokenConnection(this.peer, this.path, reason);
        reject(broken);
        for (const pending of connection.pending.values()) pending.broken(broken);
        connection.pending.clear();
        if (up) this.onState(false);
      });
    });
  }
}

const MAX_QUEUED = 1024;

interface OutgoingCall {
  readonly method: string;
  readonly params: unknown;
  readonly options: CallOptions;
}

function brokenConnection(peer: string, path: string, reason: Error | undefined): HullError {
  const what = reason
    ? `${peer} does not answer: it has ended, or is being started again`
    : `${peer} ended before it answered`;
  return new HullError("unavailable", `${what}; try again, and look at its log ("hull system logs") when this stays`, {
    cause: reason,
    facts: { connection: "broken", path },
  });
}
