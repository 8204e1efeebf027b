/**
 * A client's session: an HTTP/2 connection on which the client serves us (its directories, secrets, agents, credentials) for as long as its
 * builds run.
 *
 * Lifecycle: `Sessions.accept` -> `get` by the builds that name it -> it ends with its connection, which aborts `signal`.
 */
import type { Duplex } from "node:stream";
import type {
  DescMessage,
  DescMethodStreaming,
  DescMethodUnary,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import { HullError } from "../../platform/errors.ts";
import { GrpcTransport } from "../../platform/grpc/transport.ts";

export interface SessionFacts {
  readonly id: string;
  /** One per client and directory, where the client says it. */
  readonly sharedKey: string;
  /** "/moby.filesync.v1.FileSync/DiffCopy" */
  readonly methods: ReadonlySet<string>;
}

type MetadataValue = string | string[];

export class Session {
  readonly #transport: GrpcTransport;
  readonly #gone = new AbortController();

  constructor(
    readonly facts: SessionFacts,
    connection: Duplex,
  ) {
    let dialled = false;
    const dial = (): Duplex => {
      if (dialled) throw this.#ended();
      dialled = true;
      return connection;
    };
    this.#transport = new GrpcTransport({ dial, peer: "the client's session", headers: {} });
    connection.once("close", () => this.#gone.abort(this.#ended()));
    if (connection.destroyed) this.#gone.abort(this.#ended());
  }

  /** Aborted when the client has gone. */
  get signal(): AbortSignal {
    return this.#gone.signal;
  }

  supports({ parent, name }: DescMethodStreaming | DescMethodUnary): boolean {
    return this.facts.methods.has(`/${parent.typeName}/${name}`);
  }

  async call<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    input: MessageInitShape<I>,
    signal: AbortSignal,
  ): Promise<MessageShape<O>> {
    this.#require(method);
    const { message } = await this.#transport.unary(method, this.#until(signal), undefined, undefined, input);
    return message;
  }

  converse<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    options: { readonly metadata: Readonly<Record<string, MetadataValue>>; readonly signal: AbortSignal },
    input: AsyncIterable<MessageInitShape<I>>,
  ): AsyncIterable<MessageShape<O>> {
    this.#require(method);
    const headers = encodeMetadata(options.metadata);
    return this.#transport.converse(method, { signal: this.#until(options.signal), headers }, input);
  }

  #until(signal: AbortSignal): AbortSignal {
    return AbortSignal.any([signal, this.#gone.signal]);
  }

  #require(method: DescMethodStreaming | DescMethodUnary): void {
    if (!this.supports(method))
      throw new HullError("failed-precondition", `the client does not offer ${method.parent.typeName} in its session`);
  }

  #ended(): HullError {
    return new HullError("unavailable", "the client has gone: its session ended");
  }
}

const isPlain = (text: string): boolean => /^[\x20-\x7e]*$/.test(text);

/** Values that HTTP could not carry are escaped, and a second header says so. */
function encodeMetadata(metadata: Readonly<Record<string, MetadataValue>>): Record<string, MetadataValue> {
  const encoded: Record<string, MetadataValue> = {};
  for (const [name, value] of Object.entries(metadata)) {
    const values = [value].flat();
    if (values.length === 0) continue;
    encoded[name] = values;
    if (values.every(isPlain)) continue;
    encoded[name] = values.map((text) => encodeURIComponent(text).replaceAll("%20", "+"));
    encoded[`${name}-encoded`] = "1";
  }
  return encoded;
}

/** A build may be asked for before its session's connection is there. */
const PATIENCE_MS = 10_000;

export class Sessions {
  readonly #sessions = new Map<string, Session>();
  readonly #awaited = new Map<string, Set<(session: Session) => void>>();

  /** `headers`: those of the request, names in lower case. */
  accept(headers: Readonly<Record<string, string>>, connection: Duplex): Session {
    const id = headers["x-docker-expose-session-uuid"] ?? "";
    if (id === "") throw new HullError("invalid-argument", "no session id: header X-Docker-Expose-Session-Uuid");
    const methods = (headers["x-docker-expose-session-grpc-method"] ?? "").split(/,\s*/).filter((name) => name !== "");
    const sharedKey = headers["x-docker-expose-session-sharedkey"] ?? "";
    const session = new Session({ id, sharedKey, methods: new Set(methods) }, connection);
    this.#sessions.set(id, session);
    session.signal.addEventListener("abort", () => {
      if (this.#sessions.get(id) === session) this.#sessions.delete(id);
    });
    for (const tell of this.#awaited.get(id) ?? []) tell(session);
    return session;
  }

  async get(id: string, signal: AbortSignal): Promise<Session> {
    const found = this.#sessions.get(id);
    if (found) return found;
    const { promise, resolve, reject } = Promise.withResolvers<Session>();
    const awaiting = this.#awaited.get(id) ?? new Set();
    this.#awaited.set(id, awaiting.add(resolve));
    const late = () => reject(new HullError("not-found", `no active session for ${id}: the client has gone`));
    const timer = setTimeout(late, PATIENCE_MS);
    const aborted = () => reject(signal.reason);
    signal.addEventListener("abort", aborted, { once: true });
    try {
      signal.throwIfAborted();
      return await promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", aborted);
      awaiting.delete(resolve);
      if (awaiting.size === 0) this.#awaited.delete(id);
    }
  }
}
