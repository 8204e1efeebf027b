/** A proxy before a registry that lets through so many bytes a second and writes down what was asked. */
import { once } from "node:events";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

export interface ProxiedRequest {
  readonly method: string;
  readonly url: string;
  readonly range: string | undefined;
}

const STEP_BYTES = 64 * 1024;

export class SlowProxy implements AsyncDisposable {
  readonly requests: ProxiedRequest[] = [];
  bytesPerSecond = Number.POSITIVE_INFINITY;
  /** Of bodies of blobs. */
  blobBytes = 0;
  readonly #server = createServer((incoming, response) => this.#pass(incoming, response));

  private constructor(private readonly target: string) {}

  static async start(target: string): Promise<SlowProxy> {
    const proxy = new SlowProxy(target);
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  #pass(incoming: IncomingMessage, response: ServerResponse): void {
    const { method = "", url = "", headers } = incoming;
    this.requests.push({ method, url, range: headers.range });
    const onward = request(`http://${this.target}${url}`, { method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      void this.#copy(answer, response, url.includes("/blobs/sha256:"));
    });
    onward.on("error", () => response.destroy());
    response.on("close", () => onward.destroy());
    incoming.pipe(onward);
  }

  async #copy(answer: IncomingMessage, response: ServerResponse, isBlob: boolean): Promise<void> {
    const gone = new AbortController();
    response.once("close", () => gone.abort());
    try {
      for await (const piece of answer as AsyncIterable<Buffer>) {
        for (let at = 0; at < piece.length; at += STEP_BYTES) {
          const step = piece.subarray(at, at + STEP_BYTES);
          if (Number.isFinite(this.bytesPerSecond)) await delay((step.length / this.bytesPerSecond) * 1000);
          if (isBlob) this.blobBytes += step.length;
          if (response.destroyed) return;
          if (!response.write(step)) await once(response, "drain", { signal: gone.signal });
        }
      }
      response.end();
    } catch {
      response.destroy(); // The registry's side broke off: so does ours.
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
