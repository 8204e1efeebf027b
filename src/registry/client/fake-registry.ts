/** A registry of a few lines for tests: each case answers as it needs, the rest is a store in memory. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type Digest, digestOf } from "../../oci/digest.ts";
import { webFetch } from "../../platform/web-fetch.ts";
import type { Credentials } from "./credentials.ts";
import { Repository } from "./registry.ts";
import { RegistryState } from "./requests.ts";
import { defaultSettings, type RegistrySettings } from "./settings.ts";

/** True: it has answered. */
export type Answer = (request: IncomingMessage, response: ServerResponse) => boolean | Promise<boolean>;

export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
}

export class FakeRegistry implements AsyncDisposable {
  readonly seen: SeenRequest[] = [];
  readonly blobs = new Map<Digest, Buffer>();
  readonly #server = createServer((request, response) => void this.#answer(request, response));

  private constructor(public special: Answer) {}

  static async start(special: Answer = () => false): Promise<FakeRegistry> {
    const registry = new FakeRegistry(special);
    await new Promise<void>((resolve) => registry.#server.listen(0, "127.0.0.1", resolve));
    return registry;
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  put(bytes: Buffer): Digest {
    const digest = digestOf(bytes);
    this.blobs.set(digest, bytes);
    return digest;
  }

  /** Paths asked for with a method. */
  asked(method: string): string[] {
    return this.seen.filter((request) => request.method === method).map(({ url }) => url);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = "", url = "", headers } = request;
    this.seen.push({ method, url, headers });
    if (await this.special(request, response)) return;
    const [, kind, name] = /^\/v2\/.+\/(blobs|manifests)\/([^/?]+)$/.exec(url) ?? [];
    const bytes = this.blobs.get(name as Digest);
    if (kind === undefined || bytes === undefined) {
      refuse(response, 404, "BLOB_UNKNOWN", "blob unknown to registry");
      return;
    }
    const from = Number(/^bytes=(\d+)-$/.exec(headers.range ?? "")?.[1] ?? 0);
    const range = from === 0 ? {} : { "Content-Range": `bytes ${from}-${bytes.length - 1}/${bytes.length}` };
    response.writeHead(from === 0 ? 200 : 206, {
      "Content-Length": bytes.length - from,
      "Docker-Content-Digest": name!,
      ...range,
    });
    response.end(method === "HEAD" ? undefined : bytes.subarray(from));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

export function refuse(
  response: ServerResponse,
  status: number,
  code: string,
  message: string,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { "Content-Type": "application/json", ...headers });
  response.end(JSON.stringify({ errors: [{ code, message }] }));
}

export interface OpenOptions {
  readonly credentials?: Credentials;
  readonly settings?: Partial<RegistrySettings>;
  readonly state?: RegistryState;
  readonly path?: string;
  readonly domain?: string;
  readonly signal?: AbortSignal;
}

export function openRepository(registry: FakeRegistry, options: OpenOptions = {}): Promise<Repository> {
  const state = options.state ?? new RegistryState(webFetch);
  return Repository.open(state, {
    reference: { domain: options.domain ?? registry.host, path: options.path ?? "team/app" },
    settings: { ...defaultSettings, certDirectories: [], ...options.settings },
    credentials: options.credentials,
    signal: options.signal ?? AbortSignal.timeout(20_000),
  });
}

export const someone: Credentials = { username: "ann", password: "s3cret", identityToken: "", registryToken: "" };
