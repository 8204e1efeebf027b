/**
 * Answers registries' challenges: basic, and bearer tokens (Docker's token protocol, with passwords and identity tokens). Tokens are kept until they
 * expire, one request at a time for each.
 *
 * Lifecycle: `headerFor` before a request, from what is known of the origin -> on 401 `challenged` learns and says whether asking again may help.
 */
import { HullError } from "../../platform/errors.ts";
import type { Fetch } from "../../platform/web-fetch.ts";
import { boundedText } from "./answer.ts";
import { type Challenge, parseChallenges } from "./challenge.ts";
import type { Credentials } from "./credentials.ts";
import type { Endpoint } from "./endpoint.ts";
import { parseRefusal, refusal, unanswered } from "./failure.ts";
import { checkRealm } from "./realm.ts";

export interface Wish {
  readonly endpoint: Endpoint;
  /** The root that answers. */
  readonly root: string;
  /** Undefined for mirrors and the anonymous. */
  readonly credentials: Credentials | undefined;
  /** "repository:library/busybox:pull"; [] asks for nothing but who one is. */
  readonly scopes: readonly string[];
  readonly trustedRealms: readonly string[];
  readonly signal: AbortSignal;
}

export interface Token {
  readonly text: string;
  readonly refreshToken: string;
  readonly expiresAtMs: number;
}

const DEFAULT_LIFE_SECONDS = 60;
/** A token that ends within this is replaced before it is used. */
const MARGIN_MS = 5000;
const MAX_ANSWER_BYTES = 1024 * 1024;
const TIMEOUT_MS = 30_000;
const MAX_TOKENS = 500;

export class Authorizer {
  readonly #challenges = new Map<string, Challenge>();
  readonly #tokens = new Map<string, Promise<Token>>();

  constructor(private readonly fetch: Fetch) {}

  async headerFor(wish: Wish): Promise<string | undefined> {
    const challenge = this.#challenges.get(keyOf(wish));
    if (wish.credentials?.registryToken) return `Bearer ${wish.credentials.registryToken}`;
    if (challenge === undefined) return undefined;
    if (challenge.scheme === "basic") return basic(wish.credentials);
    return `Bearer ${(await this.#token(wish, challenge)).text}`;
  }

  /** After a 401. Throws unauthenticated when nothing that we have can answer it. */
  async challenged(wish: Wish, header: string | null, sent: string | undefined): Promise<boolean> {
    const challenges = parseChallenges(header ?? "");
    const challenge =
      challenges.find(({ scheme }) => scheme === "bearer") ?? challenges.find(({ scheme }) => scheme === "basic");
    if (challenge === undefined) return false;
    this.#challenges.set(keyOf(wish), challenge);
    if (challenge.scheme === "basic") {
      if (basic(wish.credentials) === undefined)
        throw new HullError("unauthenticated", "no basic auth credentials", {
          facts: { status: 401, why: "no-credentials" },
        });
      return sent === undefined;
    }
    // A token that was sent and refused has ended: another one is asked for, once.
    if (sent !== undefined) this.#tokens.delete(tokenKey(wish, challenge));
    return true;
  }

  /** A refresh token for who logs in; "" where the registry has none. */
  async identityToken(wish: Wish): Promise<string> {
    const challenge = this.#challenges.get(keyOf(wish));
    if (challenge?.scheme !== "bearer") return "";
    return (await this.#token(wish, challenge)).refreshToken;
  }

  #token(wish: Wish, challenge: Challenge): Promise<Token> {
    const key = tokenKey(wish, challenge);
    const known = this.#tokens.get(key);
    const fresh = known?.then((token) =>
      token.expiresAtMs - MARGIN_MS > Date.now() ? token : this.#renew(key, wish, challenge),
    );
    return fresh ?? this.#renew(key, wish, challenge);
  }

  #renew(key: string, wish: Wish, challenge: Challenge): Promise<Token> {
    const asked = this.#ask(wish, challenge);
    this.#tokens.set(key, asked);
    asked.catch(() => {
      if (this.#tokens.get(key) === asked) this.#tokens.delete(key);
    });
    if (this.#tokens.size > MAX_TOKENS) this.#tokens.delete(this.#tokens.keys().next().value!);
    return asked;
  }

  async #ask(wish: Wish, { parameters }: Challenge): Promise<Token> {
    const { credentials, scopes } = wish;
    const realm = checkRealm(parameters.realm ?? "", wish);
    const identity = credentials?.identityToken ?? "";
    if (identity !== "") {
      const form = { grant_type: "refresh_token", refresh_token: identity, scope: scopes.join(" ") };
      return this.#post(realm, wish, { ...form, service: parameters.service ?? "", client_id: "hull" });
    }
    const url = new URL(realm);
    if (parameters.service) url.searchParams.set("service", parameters.service);
    for (const scope of scopes) url.searchParams.append("scope", scope);
    const authorization = basic(credentials);
    if (authorization !== undefined) {
      url.searchParams.set("account", credentials!.username);
      if (scopes.length === 0) {
        url.searchParams.set("offline_token", "true");
        url.searchParams.set("client_id", "hull");
      }
    }
    return this.#exchange(wish, {
      method: "GET",
      url: url.href,
      headers: authorization ? { Authorization: authorization } : {},
    });
  }

  #post(realm: URL, wish: Wish, form: Readonly<Record<string, string>>): Promise<Token> {
    const headers = { "Content-Type": "application/x-www-form-urlencoded" };
    return this.#exchange(wish, {
      method: "POST",
      url: realm.href,
      headers,
      body: new URLSearchParams(form).toString(),
    });
  }

  async #exchange(wish: Wish, request: Omit<Parameters<Fetch>[0], "tls" | "signal">): Promise<Token> {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    // The registry's own certificates are for its host; a token server elsewhere sees none of them.
    const same = new URL(request.url).host === new URL(wish.root).host;
    const { ca, verify } = wish.endpoint.tls;
    const tls = same ? wish.endpoint.tls : { verify, ...(ca && { ca }) };
    let answer: Awaited<ReturnType<Fetch>>;
    try {
      answer = await this.fetch({ ...request, tls, signal });
    } catch (error) {
      throw unanswered(request.method, request.url, error);
    }
    const text = await boundedText(answer, MAX_ANSWER_BYTES);
    if (answer.status !== 200) throw refusal(parseRefusal(answer.status, answer.statusText, text), { token: 1 });
    return parseToken(text);
  }
}

function parseToken(text: string): Token {
  let json: Readonly<Record<string, unknown>>;
  try {
    json = JSON.parse(text) as Record<string, unknown>;
  } catch (error) {
    throw new HullError("unavailable", "the token server's answer is not JSON", { cause: error });
  }
  const [token, refresh] = [json.token || json.access_token, json.refresh_token];
  if (typeof token !== "string" || token === "")
    throw new HullError("unavailable", "authorization server did not include a token in the response");
  const seconds = typeof json.expires_in === "number" && json.expires_in > 0 ? json.expires_in : DEFAULT_LIFE_SECONDS;
  return {
    text: token,
    refreshToken: typeof refresh === "string" ? refresh : "",
    expiresAtMs: Date.now() + seconds * 1000,
  };
}

const keyOf = ({ root }: Wish): string => root;

const tokenKey = ({ credentials, scopes }: Wish, { parameters }: Challenge): string =>
  JSON.stringify([parameters.realm, parameters.service, scopes, credentials]);

function basic(credentials: Credentials | undefined): string | undefined {
  if (credentials === undefined || credentials.username === "") return undefined;
  return `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString("base64")}`;
}
