/** One request for a file elsewhere: redirects followed, credentials kept from other hosts, given up when nothing comes any more. */
import { getCACertificates, rootCertificates } from "node:tls";
import { codeOf, type ErrorCode, HullError, messageOf } from "../../platform/errors.ts";
import { type WebResponse, webFetch } from "../../platform/web-fetch.ts";
import { type Proxies, proxyFor } from "./proxies.ts";

export interface FileRequest {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Goes to the URL's own host alone. */
  readonly authorization: string;
  readonly proxies: Proxies;
  /** Nothing has come for so long: it is given up. */
  readonly stallMs: number;
  /** Certificates in PEM that servers are believed by; undefined: the system's and the ones that browsers trust. */
  readonly authorities?: readonly string[] | undefined;
  readonly signal: AbortSignal;
}

export interface FileAnswer {
  readonly status: number;
  /** "" without. */
  header(name: string): string;
  /** Throws unavailable when the connection ends before the body does, deadline-exceeded when nothing more comes. */
  readonly body: AsyncIterable<Uint8Array>;
  /** The body is not wanted. */
  drop(): void;
}

const MOST_REDIRECTS = 10;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

/** For people: without a password. */
export function shownUrl(url: string): string {
  if (!URL.canParse(url)) return url;
  const parsed = new URL(url);
  if (parsed.password === "") return url;
  parsed.password = "xxxxx";
  return parsed.href;
}

/** Answers of 200 to 299 and 304; others are thrown. */
export async function requestFile(request: FileRequest): Promise<FileAnswer> {
  let url = new URL(request.url);
  const origin = url.host;
  for (let hops = 0; ; hops++) {
    const authorization = url.host === origin ? request.authorization || basic(url) : basic(url);
    const answer = await ask(request, url, authorization);
    const location = answer.header("location");
    if (!REDIRECTS.has(answer.status) || location === "") return accepted(request, answer);
    answer.drop();
    if (hops === MOST_REDIRECTS)
      throw failure(request, "failed-precondition", `stopped after ${MOST_REDIRECTS} redirects`);
    url = redirected(request, location, url);
  }
}

function redirected(request: FileRequest, location: string, from: URL): URL {
  const url = URL.canParse(location, from.href) ? new URL(location, from) : undefined;
  if (url && /^https?:$/.test(url.protocol)) return url;
  throw failure(
    request,
    "failed-precondition",
    `redirected to ${JSON.stringify(location)}, which is no http or https URL`,
  );
}

const basic = ({ username, password }: URL): string => {
  if (username === "" && password === "") return "";
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return `Basic ${Buffer.from(pair).toString("base64")}`;
};

const statusCodes: ReadonlyMap<number, ErrorCode> = new Map<number, ErrorCode>([
  [401, "unauthenticated"],
  [403, "permission-denied"],
  [404, "not-found"],
  [410, "not-found"],
  [429, "resource-exhausted"],
]);

const advice: ReadonlyMap<ErrorCode, string> = new Map<ErrorCode, string>([
  ["unauthenticated", "; give credentials as the secret HTTP_AUTH_TOKEN_<host> or HTTP_AUTH_HEADER_<host>"],
]);

function accepted(request: FileRequest, answer: FileAnswer): FileAnswer {
  const { status } = answer;
  if ((status >= 200 && status < 300) || status === 304) return answer;
  answer.drop();
  const code = statusCodes.get(status) ?? (status >= 500 ? "unavailable" : "failed-precondition");
  throw failure(request, code, `invalid response status ${status}${advice.get(code) ?? ""}`);
}

const failure = ({ url }: FileRequest, code: ErrorCode, why: string, cause?: unknown): HullError =>
  new HullError(code, `download ${shownUrl(url)}: ${why}`, { cause });

async function ask(request: FileRequest, target: URL, authorization: string): Promise<FileAnswer> {
  const stall = new Stall(request.stallMs);
  const signal = AbortSignal.any([request.signal, stall.signal]);
  const url = new URL(target);
  url.username = url.password = url.hash = "";
  const headers = {
    "Accept-Encoding": "identity",
    "User-Agent": "hull-buildkitd",
    ...request.headers,
    ...(authorization !== "" && { Authorization: authorization }),
  };
  const explained = (error: unknown): Error => {
    stall.end();
    if (request.signal.aborted) return request.signal.reason as Error;
    if (stall.signal.aborted)
      return failure(request, "deadline-exceeded", `nothing came for ${request.stallMs / 1000} seconds`, error);
    const code = codeOf(error);
    return failure(request, code === "internal" ? "unavailable" : code, plainText(error), error);
  };
  let response: WebResponse;
  try {
    const tls = url.protocol === "https:" ? { verify: true, ca: request.authorities ?? trusted() } : undefined;
    const proxy = proxyFor(url, request.proxies);
    response = await webFetch({ method: "GET", url: url.href, headers, tls, proxy, signal });
  } catch (error) {
    throw explained(error);
  }
  return {
    status: response.status,
    header: (name) => response.headers.get(name) ?? "",
    body: watched(response.body, stall, explained),
    drop: () => stall.give(),
  };
}

async function* watched(
  body: AsyncIterable<Uint8Array> | null,
  stall: Stall,
  explained: (error: unknown) => Error,
): AsyncGenerator<Uint8Array> {
  try {
    for await (const piece of body ?? []) {
      stall.touch();
      yield piece;
      stall.touch(); // The reader's time does not count.
    }
  } catch (error) {
    throw explained(error);
  } finally {
    stall.end();
  }
}

/** The runtime adds advice for programmers to its errors. */
const plainText = (error: unknown): string =>
  messageOf(error)
    .replace(/^[A-Z]+: /, "")
    .replace(/ For more information, pass .*$| Is the computer able to access the url\?$/s, "");

let authorities: readonly string[] | undefined;

function trusted(): readonly string[] {
  authorities ??= [...new Set([...rootCertificates, ...getCACertificates("system")])];
  return authorities;
}

/** Aborts its signal when it was not touched for so long. */
class Stall {
  readonly #abort = new AbortController();
  #timer: NodeJS.Timeout;

  constructor(private readonly ms: number) {
    this.#timer = this.#start();
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  touch(): void {
    clearTimeout(this.#timer);
    this.#timer = this.#start();
  }

  end(): void {
    clearTimeout(this.#timer);
  }

  /** Closes the connection. */
  give(): void {
    this.end();
    this.#abort.abort();
  }

  #start(): NodeJS.Timeout {
    return setTimeout(() => this.#abort.abort(), this.ms);
  }
}
