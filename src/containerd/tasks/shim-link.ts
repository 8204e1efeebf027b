/**
 * A held connection to a container's shim. When the shim dies, its pause forks a new one on the same path: the link
 * connects again and subscribes again. Lifecycle: open -> calls -> close; `onLost` once when no shim came back.
 */
import { ShimClient, type ShimEvent } from "../../keel/shim-client.ts";
import { HullError } from "../../platform/errors.ts";

const RECONNECT_MS = 3000;
const CALL_MS = 10_000;

export interface ShimLinkOptions {
  readonly path: string;
  readonly onEvent: (event: ShimEvent) => void;
  readonly onLost: () => void;
  /** A new shim, forked by pause. */
  readonly onReturned: (shimPid: number) => void;
  /** False once nobody is left who could fork a new shim: pause is dead. */
  readonly mayReturn: () => boolean;
}

export class ShimLink {
  #client: Promise<ShimClient>;
  #closed = false;

  private constructor(
    client: ShimClient,
    private readonly options: ShimLinkOptions,
  ) {
    this.#client = Promise.resolve(client);
  }

  /** Throws `unavailable` when no shim listens. Events of exits that were not forgotten come before it resolves. */
  static async open(options: ShimLinkOptions): Promise<ShimLink> {
    let link: ShimLink | undefined;
    const client = await connect(options, () => link?.reconnect());
    link = new ShimLink(client, options);
    return link;
  }

  /** One call; a shim that dies during it fails it with `unavailable`. */
  async call<T>(body: (client: ShimClient, options: { signal: AbortSignal }) => Promise<T>): Promise<T> {
    const client = await this.#client;
    return body(client, { signal: AbortSignal.timeout(CALL_MS) });
  }

  close(): void {
    this.#closed = true;
    this.#client.then(
      (client) => client.close(),
      () => undefined,
    );
  }

  reconnect(): void {
    if (this.#closed) return;
    this.#client = this.#again();
    this.#client.catch(() => {
      if (!this.#closed) this.options.onLost();
    });
  }

  async #again(): Promise<ShimClient> {
    const until = Date.now() + RECONNECT_MS;
    for (let wait = 5; ; wait = Math.min(wait * 2, 100)) {
      try {
        const client = await connect(this.options, () => this.reconnect());
        this.options.onReturned((await client.state()).shimPid);
        return client;
      } catch (error) {
        if (this.#closed || Date.now() > until || !this.options.mayReturn()) {
          throw new HullError("unavailable", `no shim came back at ${this.options.path}`, { cause: error });
        }
        await new Promise((resolve) => setTimeout(resolve, wait));
      }
    }
  }
}

async function connect(options: ShimLinkOptions, onClose: () => void): Promise<ShimClient> {
  const client = await ShimClient.open(options.path, { onEvent: options.onEvent, onClose });
  await client.subscribe();
  return client;
}
