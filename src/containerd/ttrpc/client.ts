/**
 * Unary calls over one kept ttrpc connection: a fifth of what they cost over HTTP/2. Lifecycle: the first call dials; a connection that broke
 * fails the calls on it with `unavailable` and the next call dials again; disposal closes it. Failures are HullErrors.
 */
import { connect, type Socket } from "node:net";
import { HullError } from "../../platform/errors.ts";
import { codeOfAnswer, cutOff } from "../../platform/grpc/call-failure.ts";
import {
  decodeResponse,
  encodeFrame,
  encodeRequest,
  type Failure,
  FrameReader,
  REQUEST,
  type Request,
} from "./frames.ts";

interface Waiting {
  readonly method: string;
  readonly resolve: (payload: Uint8Array) => void;
  readonly reject: (error: Error) => void;
}

export class TtrpcClient implements Disposable {
  #connection: Connection | undefined;

  constructor(private readonly socketPath: string) {}

  /** Resolves with the answer's message. `timeoutMs` 0: no deadline. */
  call(request: Request): Promise<Uint8Array> {
    if (!this.#connection?.isOpen) this.#connection = new Connection(this.socketPath);
    return this.#connection.call(request);
  }

  [Symbol.dispose](): void {
    this.#connection?.close(new Error("the client is closed"));
    this.#connection = undefined;
  }
}

class Connection {
  readonly #socket: Socket;
  readonly #reader = new FrameReader();
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 1;
  #isOpen = true;

  constructor(path: string) {
    this.#socket = connect({ path });
    this.#socket.on("data", (chunk) => this.#onData(chunk));
    this.#socket.on("error", (error) => this.close(error));
    this.#socket.on("close", () => this.close(new Error("the connection ended")));
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  call(request: Request): Promise<Uint8Array> {
    const streamId = this.#nextId;
    // Odd numbers are the client's.
    this.#nextId = streamId >= 0xffff_fffd ? 1 : streamId + 2;
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    const late = (): void => {
      this.#waiting.delete(streamId);
      reject(new HullError("deadline-exceeded", `${request.method}: no answer within ${request.timeoutMs} ms`));
    };
    const timer = request.timeoutMs > 0 ? setTimeout(late, request.timeoutMs) : undefined;
    this.#waiting.set(streamId, {
      method: request.method,
      resolve: (payload) => {
        clearTimeout(timer);
        resolve(payload);
      },
      reject: (error) => {
        clearTimeout(timer);
        reject(error);
      },
    });
    this.#socket.write(encodeFrame({ streamId, type: REQUEST, payload: encodeRequest(request) }));
    return promise;
  }

  /** Every call under way is cut off. */
  close(why: Error): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#socket.destroy();
    for (const { method, reject } of this.#waiting.values()) reject(cutOff("hull-containerd", method, why));
    this.#waiting.clear();
  }

  #onData(chunk: Buffer): void {
    try {
      for (const { streamId, payload } of this.#reader.push(chunk)) {
        const waiting = this.#waiting.get(streamId);
        // Given up meanwhile.
        if (!waiting) continue;
        this.#waiting.delete(streamId);
        const response = decodeResponse(payload);
        if ("payload" in response) waiting.resolve(response.payload);
        else waiting.reject(toHullError(response.failure));
      }
    } catch (error) {
      this.close(new Error("a malformed answer", { cause: error }));
    }
  }
}

function toHullError({ status, message, reason, facts }: Failure): HullError {
  const code = codeOfAnswer(status, reason);
  const known = [...facts].map(([name, value]) => [name, JSON.parse(value) as string | number] as const);
  return new HullError(code, message, { ...(known.length > 0 && { facts: Object.fromEntries(known) }) });
}
