/**
 * The answer to one request. Exactly one of json, text, empty, stream or hijack begins it.
 * Lifecycle: fresh -> begun -> finished (kept alive), or hijacked (the socket belongs to the handler), or aborted (cut).
 */
import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import { HullError } from "../../platform/errors.ts";
import type { RequestHead } from "./head.ts";
import type { Input } from "./input.ts";
import { ResponseStream } from "./response-stream.ts";
import { acceptKey, webSocketBytes } from "./web-socket.ts";

/** A connection taken over from HTTP: raw bytes both ways. */
export interface RawConnection {
  /** Paused and half-closable. Its errors and its end are the new owner's business. */
  readonly socket: Socket;
  /** What the client sent after its request: the first bytes of stdin. */
  readonly head: Buffer;
  /** True when the client has already shut down its writing side (no `end` event will come). */
  readonly ended: boolean;
}

const reasons: Readonly<Record<number, string>> = {
  200: "OK",
  201: "Created",
  204: "No Content",
  304: "Not Modified",
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  409: "Conflict",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  499: "Client Closed Request",
  500: "Internal Server Error",
  501: "Not Implemented",
  503: "Service Unavailable",
  504: "Gateway Timeout",
};

export class ApiResponse {
  #state: "fresh" | "begun" | "finished" | "hijacked" | "aborted" = "fresh";
  #status = 0;
  readonly #headers: [string, string][] = [];
  #stream: ResponseStream | undefined;

  constructor(
    private readonly input: Input,
    private readonly head: Pick<RequestHead, "method" | "minor" | "keepAlive" | "headers">,
    common: Readonly<Record<string, string>>,
  ) {
    this.#headers.push(...Object.entries(common));
  }

  get begun(): boolean {
    return this.#state !== "fresh";
  }

  get hijacked(): boolean {
    return this.#state === "hijacked";
  }

  /** The status sent; 0 before. */
  get status(): number {
    return this.#status;
  }

  header(name: string, value: string): void {
    this.#headers.push([name, value]);
  }

  json(status: number, value: unknown): void {
    this.bytes(status, "application/json", Buffer.from(`${JSON.stringify(value)}\n`));
  }

  text(status: number, text: string): void {
    this.bytes(status, "text/plain; charset=utf-8", Buffer.from(text));
  }

  empty(status = 204): void {
    const length = status === 204 || status === 304 ? "" : "Content-Length: 0\r\n";
    this.input.socket.write(this.#begin(status, length));
    this.#state = "finished";
  }

  bytes(status: number, contentType: string, body: Buffer): void {
    const head = this.#begin(status, `Content-Type: ${contentType}\r\nContent-Length: ${body.length}\r\n`);
    this.input.socket.write(this.head.method === "HEAD" ? head : Buffer.concat([Buffer.from(head), body]));
    this.#state = "finished";
  }

  /** Begins a body of unknown length; the head is sent at once. */
  stream(status: number, contentType: string): ResponseStream {
    const chunked = this.head.minor === 1;
    const framing = chunked ? "Transfer-Encoding: chunked\r\n" : "Connection: close\r\n";
    this.input.socket.write(this.#begin(status, `Content-Type: ${contentType}\r\n${framing}`));
    this.#stream = new ResponseStream(this.input, { chunked, discard: this.head.method === "HEAD" });
    return this.#stream;
  }

  /**
   * Takes the connection over: `101 UPGRADED` when the client asked for an upgrade, else a raw 200. Read the request's body before.
   * From here on errors can only be written into the stream.
   */
  hijack(contentType: string): RawConnection {
    const upgrade = this.#upgradeAsked();
    return this.#takeOver(
      upgrade === undefined ? 200 : 101,
      upgrade === undefined
        ? `HTTP/1.1 200 OK\r\nContent-Type: ${contentType}\r\n\r\n`
        : `HTTP/1.1 101 UPGRADED\r\nContent-Type: ${contentType}\r\nConnection: Upgrade\r\nUpgrade: ${upgrade}\r\n\r\n`,
    );
  }

  /** Takes the connection over as a WebSocket's. Throws invalid-argument when the client did not ask for one. */
  webSocket(): RawConnection {
    const { headers } = this.head;
    const key = headers.get("sec-websocket-key");
    if (headers.get("upgrade")?.toLowerCase() !== "websocket" || !key || headers.get("sec-websocket-version") !== "13")
      throw new HullError("invalid-argument", "not websocket protocol: ask for an upgrade to websocket, version 13");
    const accept = `Sec-WebSocket-Accept: ${acceptKey(key)}\r\n`;
    const upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
    return webSocketBytes(this.#takeOver(101, `HTTP/1.1 101 Switching Protocols\r\n${upgrade}${accept}\r\n`));
  }

  #takeOver(status: number, lines: string): RawConnection {
    const { head, ended } = this.input.release();
    this.#assertFresh();
    this.#status = status;
    this.#state = "hijacked";
    this.input.socket.write(lines);
    return { socket: this.input.socket, head, ended };
  }

  /** Cuts the connection: the only way to tell a client that a begun answer failed. */
  abort(): void {
    if (this.#state === "hijacked") return;
    this.#state = "aborted";
    this.input.socket.destroy();
  }

  /** Ends what the handler left open; true when the connection can carry another request. */
  finish(): boolean {
    if (this.#stream && this.#state === "begun") {
      this.#stream.end();
      this.#state = "finished";
    }
    if (this.#state === "fresh") this.empty(200);
    return this.#state === "finished" && this.head.keepAlive && (this.#stream === undefined || this.head.minor === 1);
  }

  #begin(status: number, framing: string): string {
    this.#assertFresh();
    this.#state = "begun";
    this.#status = status;
    const fields = this.#headers.map(([name, value]) => `${name}: ${value}\r\n`).join("");
    const close = this.head.keepAlive || framing.includes("Connection:") ? "" : "Connection: close\r\n";
    return `HTTP/1.1 ${status} ${reasons[status] ?? "Status"}\r\n${fields}Date: ${dateNow()}\r\n${close}${framing}\r\n`;
  }

  #upgradeAsked(): string | undefined {
    const asked = this.head.headers.get("connection")?.toLowerCase().includes("upgrade");
    return asked ? this.head.headers.get("upgrade") : undefined;
  }

  #assertFresh(): void {
    if (this.#state !== "fresh") throw new HullError("internal", `answer already ${this.#state}`);
  }
}

let dateAt = 0;
let dateText = "";

/** The Date header, made once a second. */
function dateNow(): string {
  const now = Math.floor(Date.now() / 1000);
  if (now !== dateAt) dateText = new Date(now * 1000).toUTCString();
  dateAt = now;
  return dateText;
}
