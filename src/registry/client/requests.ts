/**
 * Requests to one endpoint of a registry for one repository: with the credentials that belong to it, following redirects without them.
 * What the endpoints were found to be like (which scheme, which challenge, which tokens) is kept in `RegistryState` for all of them.
 */
import { during, HullError } from "../../platform/errors.ts";
import { HULL_VERSION } from "../../platform/version.ts";
import type { Fetch, WebRequest, WebResponse } from "../../platform/web-fetch.ts";
import { boundedText, drain } from "./answer.ts";
import { Authorizer, type Wish } from "./authorizer.ts";
import { parseRetryAfter } from "./backoff.ts";
import type { Credentials } from "./credentials.ts";
import type { Endpoint } from "./endpoint.ts";
import { parseRefusal, refusal, unanswered } from "./failure.ts";
import { formatRateLimit, type RateLimit, readRateLimit } from "./rate-limit.ts";

const MAX_REDIRECTS = 5;
const MAX_ERROR_BYTES = 64 * 1024;
/** Until the head of an answer is there. */
const HEAD_TIMEOUT_MS = 60_000;

export class RegistryState {
  readonly authorizer: Authorizer;
  /** The root that answered, by endpoint. */
  readonly answering = new Map<string, string>();
  readonly limits = new Map<string, RateLimit>();

  constructor(readonly fetch: Fetch) {
    this.authorizer = new Authorizer(fetch);
  }
}

export interface EndpointTarget {
  readonly endpoint: Endpoint;
  readonly credentials: Credentials | undefined;
  readonly trustedRealms: readonly string[];
}

export interface RegistryRequest {
  readonly method: string;
  /** Below the root ("/library/busybox/tags/list"), or a whole URL that the registry gave. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Made anew for each attempt. */
  readonly body?: () => WebRequest["body"];
  readonly scopes: readonly string[];
  readonly signal: AbortSignal;
  /** Until the answer's head; a body that is sent may take as long as it needs. */
  readonly timeoutMs?: number;
}

export class EndpointRequests {
  constructor(
    private readonly state: RegistryState,
    readonly target: EndpointTarget,
  ) {}

  /** Of the API, as far as it is known: the one that answered, else the first to be asked. */
  get root(): string {
    const { roots } = this.target.endpoint;
    return this.state.answering.get(roots.join(" ")) ?? roots[0]!;
  }

  /** Of who was let in by `send`; "" where the registry has none. */
  identityToken(signal: AbortSignal): Promise<string> {
    return this.state.authorizer.identityToken({ ...this.target, root: this.root, scopes: [], signal });
  }

  /** The answer when its status is one of `expected`. Throws what the registry or the way to it said. */
  async expect(expected: readonly number[], request: RegistryRequest): Promise<WebResponse> {
    const answer = await this.send(request);
    if (expected.includes(answer.status)) return answer;
    const { status, statusText, headers } = answer;
    const retryAfterMs = parseRetryAfter(headers.get("retry-after"), Date.now());
    const text = request.method === "HEAD" ? "" : await boundedText(answer, MAX_ERROR_BYTES);
    const failure = refusal(parseRefusal(status, statusText, text), {
      ...(retryAfterMs !== undefined && { retryAfterMs }),
      method: request.method,
    });
    throw status === 429 ? this.#limited(failure) : failure;
  }

  async send(request: RegistryRequest): Promise<WebResponse> {
    const { endpoint } = this.target;
    const known = this.state.answering.get(endpoint.roots.join(" "));
    const roots = known === undefined ? endpoint.roots : [known];
    for (const [i, root] of roots.entries()) {
      try {
        const answer = await this.#authorized(root, request);
        this.state.answering.set(endpoint.roots.join(" "), root);
        return answer;
      } catch (error) {
        const isLast = i === roots.length - 1;
        if (isLast || !(error instanceof HullError) || !canBePlain(error)) throw error;
      }
    }
    throw new HullError("internal", `${endpoint.host} has no address`);
  }

  async #authorized(root: string, request: RegistryRequest): Promise<WebResponse> {
    const { authorizer } = this.state;
    const wish: Wish = { ...this.target, root, scopes: request.scopes, signal: request.signal };
    const url = urlOf(root, request.path);
    const isOurs = new URL(url).origin === new URL(root).origin;
    for (let attempt = 1; ; attempt += 1) {
      const authorization = isOurs ? await explained(request.method, url, authorizer.headerFor(wish)) : undefined;
      const answer = await this.#followed(url, request, { authorization, isOurs });
      if (answer.status !== 401 || !isOurs || attempt > 2) return answer;
      const again = await explained(
        request.method,
        url,
        authorizer.challenged(wish, answer.headers.get("www-authenticate"), authorization),
      );
      if (!again) return answer;
      await drain(answer);
    }
  }

  async #followed(
    url: string,
    request: RegistryRequest,
    first: { readonly authorization: string | undefined; readonly isOurs: boolean },
  ): Promise<WebResponse> {
    const origin = new URL(url).origin;
    for (let at = url, hops = 0; ; hops += 1) {
      const isOurs = first.isOurs && new URL(at).origin === origin;
      const answer = await this.#once(
        at,
        request,
        isOurs ? { isOurs, authorization: first.authorization } : { isOurs },
      );
      const redirects =
        answer.status >= 300 &&
        answer.status < 400 &&
        answer.status !== 304 &&
        ["GET", "HEAD"].includes(request.method);
      const location = answer.headers.get("location");
      if (!redirects || location === null) return this.#noted(answer);
      await drain(answer);
      if (hops === MAX_REDIRECTS)
        throw new HullError("unavailable", `${new URL(url).host} redirects more than ${MAX_REDIRECTS} times`);
      const next = new URL(location, at);
      if (new URL(at).protocol === "https:" && next.protocol !== "https:") {
        throw new HullError("permission-denied", `${new URL(at).host} redirects to ${next.host} without TLS: refused`);
      }
      at = next.href;
    }
  }

  async #once(
    url: string,
    request: RegistryRequest,
    { authorization, isOurs }: { readonly authorization?: string | undefined; readonly isOurs: boolean },
  ): Promise<WebResponse> {
    const { endpoint } = this.target;
    const { ca, verify } = endpoint.tls;
    const late = new AbortController();
    const timeoutMs = request.timeoutMs ?? (request.body === undefined ? HEAD_TIMEOUT_MS : undefined);
    const timer =
      timeoutMs === undefined
        ? undefined
        : setTimeout(() => late.abort(new DOMException("no answer", "TimeoutError")), timeoutMs);
    try {
      return await this.state.fetch({
        method: request.method,
        url,
        headers: {
          "User-Agent": `hull/${HULL_VERSION}`,
          "Accept-Encoding": "identity",
          ...(isOurs && endpoint.headers),
          ...request.headers,
          ...(authorization !== undefined && { Authorization: authorization }),
        },
        body: request.body?.(),
        tls: isOurs ? endpoint.tls : { verify, ...(ca && { ca }) },
        signal: AbortSignal.any([request.signal, late.signal]),
      });
    } catch (error) {
      request.signal.throwIfAborted();
      if (error instanceof HullError) throw error; // What made the body.
      throw unanswered(request.method, url, late.signal.aborted ? late.signal.reason : error);
    } finally {
      clearTimeout(timer);
    }
  }

  #noted(answer: WebResponse): WebResponse {
    const limit = readRateLimit(answer.headers);
    if (limit) this.state.limits.set(this.target.endpoint.host, limit);
    return answer;
  }

  #limited(failure: HullError): HullError {
    const limit = this.state.limits.get(this.target.endpoint.host);
    const told = limit === undefined ? "" : ` (${formatRateLimit(limit)})`;
    const { code, message, facts } = failure;
    return new HullError(code, `${message}${told}`, { cause: failure, facts });
  }
}

/** "../" leads to what stands beside the API. */
const urlOf = (root: string, path: string): string => {
  if (/^https?:\/\//.test(path)) return path;
  return path.startsWith("../") ? `${root.slice(0, root.lastIndexOf("/"))}${path.slice(2)}` : `${root}${path}`;
};

/** An insecure registry that does not speak TLS is asked again without. */
const canBePlain = (error: HullError): boolean => {
  const { why } = error.facts;
  return why !== undefined && why !== "late" && why !== "realm" && why !== "no-credentials";
};

async function explained<T>(method: string, url: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof HullError) || error.facts.why !== "no-credentials") throw error;
    const { origin, pathname } = new URL(url);
    throw during(`${method.charAt(0)}${method.slice(1).toLowerCase()} "${origin}${pathname}"`, error);
  }
}
