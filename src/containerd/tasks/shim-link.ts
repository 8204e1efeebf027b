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
  #client: Promise<ShimClient> = Promise.reject(new HullError("unavailable", "not connected to the shim yet"));
  #closed = false;

  private constructor(
    client: ShimClient | undefined,
    private readonly options: ShimLinkOptions,
  ) {
    this.#client.catch(() => undefined);
    if (client) this.#client = Promise.resolve(client);
  }

  /** Connects in the background: calls wait for it. For a shim that is there for certain. */
  static begin(options: ShimLinkOptions): ShimLink {
    const link = new ShimLink(undefined, options);
    link.reconnect();
    return link;
  }

  /** Throws `unavailable` when no shim listens. Events of exits that were not forgotten come before it resolves. */
  static async open(options: ShimLinkOptions): Promise<ShimLink> {
    let link: ShimLink | undefined;
    const client = await connect(options, () => link?.succeed());
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

  /** The shim went; what comes after it is asked who it is. */
  succeed(): void {
    this.reconnect();
    this.call((client, options) => client.state(options)).then(
      ({ shimPid }) => this.options.onReturned(shimPid),
      () => undefined, // onLost tells
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
        return await connect(this.options, () => this.succeed());
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
