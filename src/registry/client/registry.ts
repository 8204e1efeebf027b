/**
 * A repository of a registry as a client sees it. Reading asks mirrors first and then the registry itself; what a mirror says no to is asked of the next.
 * Made for one piece of work; `RegistryState` outlives it.
 */
import { type Digest, digestOf, isDigest } from "../../oci/digest.ts";
import { MAX_DOCUMENT_BYTES, mediaTypes } from "../../oci/image.ts";
import type { Reference } from "../../oci/reference.ts";
import { HullError } from "../../platform/errors.ts";
import type { WebResponse } from "../../platform/web-fetch.ts";
import { boundedBytes, drain } from "./answer.ts";
import { patiently } from "./backoff.ts";
import type { Credentials } from "./credentials.ts";
import { type Ability, endpointsOf } from "./endpoint.ts";
import { EndpointRequests, type RegistryState } from "./requests.ts";
import type { RegistrySettings } from "./settings.ts";

const ATTEMPTS = 4;
const MAX_TAGS_BYTES = 4 * 1024 * 1024;
const MAX_TAG_PAGES = 1000;

const manifestTypes = [mediaTypes.ociIndex, mediaTypes.ociManifest, mediaTypes.dockerIndex, mediaTypes.dockerManifest];
export const ACCEPTED = [...manifestTypes, "*/*;q=0.1"].join(", ");

export interface RegistryAccess {
  readonly reference: Pick<Reference, "domain" | "path">;
  readonly settings: RegistrySettings;
  readonly credentials: Credentials | undefined;
  readonly signal: AbortSignal;
}

export interface FetchedManifest {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly bytes: Buffer;
}

export class Repository {
  private constructor(
    readonly access: RegistryAccess,
    private readonly endpoints: readonly EndpointRequests[],
  ) {}

  static async open(state: RegistryState, access: RegistryAccess): Promise<Repository> {
    const { reference, settings, credentials } = access;
    const endpoints = await endpointsOf(reference.domain, settings);
    const { trustedRealms } = settings;
    return new Repository(
      access,
      endpoints.map((endpoint) => {
        const own = endpoint.isMirror ? undefined : credentials;
        return new EndpointRequests(state, { endpoint, credentials: own, trustedRealms });
      }),
    );
  }

  get path(): string {
    return this.access.reference.path;
  }

  scopes(actions: string): string[] {
    return [`repository:${this.path}:${actions}`];
  }

  /** Where pushes go. */
  get origin(): EndpointRequests {
    const found = this.able("push").at(-1);
    if (!found)
      throw new HullError(
        "failed-precondition",
        `no host of ${this.access.reference.domain} takes pushes: see its hosts.toml`,
      );
    return found;
  }

  able(ability: Ability): EndpointRequests[] {
    return this.endpoints.filter(({ target }) => target.endpoint.abilities.has(ability));
  }

  /** Asks one endpoint after the other; throws the last one's error. */
  async anywhere<T>(ability: Ability, work: (endpoint: EndpointRequests) => Promise<T>): Promise<T> {
    let failure: unknown = new HullError(
      "failed-precondition",
      `no host of ${this.access.reference.domain} serves pulls: see its hosts.toml`,
    );
    for (const endpoint of this.able(ability)) {
      try {
        return await work(endpoint);
      } catch (error) {
        this.access.signal.throwIfAborted();
        failure = error;
      }
    }
    throw failure;
  }

  /** What a tag or digest stands for, without its bytes; not counted as a pull. Undefined where the registry does not say the digest. */
  headManifest(
    tagOrDigest: string,
  ): Promise<{ readonly digest: Digest; readonly size: number; readonly mediaType: string } | undefined> {
    return this.anywhere("resolve", (endpoint) =>
      this.#patiently(async () => {
        const answer = await endpoint.expect([200, 405], this.#manifestRequest("HEAD", tagOrDigest));
        await drain(answer);
        const digest = answer.headers.get("docker-content-digest") ?? "";
        if (answer.status !== 200 || !isDigest(digest)) return undefined;
        return { digest, size: Number(answer.headers.get("content-length") ?? 0), mediaType: typeOf(answer) };
      }),
    );
  }

  /** The bytes are what the digest says. */
  getManifest(tagOrDigest: string): Promise<FetchedManifest> {
    return this.anywhere("resolve", (endpoint) =>
      this.#patiently(async () => {
        const answer = await endpoint.expect([200], this.#manifestRequest("GET", tagOrDigest));
        const bytes = await boundedBytes(answer, MAX_DOCUMENT_BYTES);
        const digest = digestOf(bytes);
        const said = isDigest(tagOrDigest) ? tagOrDigest : answer.headers.get("docker-content-digest");
        if (said !== null && isDigest(said) && said !== digest) {
          throw new HullError(
            "invalid-argument",
            `manifest verification failed for digest ${said}: the registry sent ${digest}`,
          );
        }
        return { mediaType: typeOf(answer), digest, bytes };
      }),
    );
  }

  /** A small blob, whole: a config. */
  async getDocument(digest: Digest): Promise<Buffer> {
    return this.anywhere("pull", (endpoint) =>
      this.#patiently(async () => {
        const path = `/${this.path}/blobs/${digest}`;
        const answer = await endpoint.expect([200], {
          method: "GET",
          path,
          scopes: this.scopes("pull"),
          signal: this.access.signal,
        });
        const bytes = await boundedBytes(answer, MAX_DOCUMENT_BYTES);
        if (digestOf(bytes) !== digest)
          throw new HullError(
            "invalid-argument",
            `blob verification failed for digest ${digest}: the registry sent ${digestOf(bytes)}`,
          );
        return bytes;
      }),
    );
  }

  /** Every tag, in the registry's order. */
  listTags(): Promise<string[]> {
    return this.anywhere("resolve", async (endpoint) => {
      const tags: string[] = [];
      let path = `/${this.path}/tags/list?n=1000`;
      for (let page = 0; page < MAX_TAG_PAGES; page += 1) {
        const request = { method: "GET", path, scopes: this.scopes("pull"), signal: this.access.signal };
        const answer = await this.#patiently(() => endpoint.expect([200], request));
        const json = JSON.parse((await boundedBytes(answer, MAX_TAGS_BYTES)).toString()) as { tags?: unknown };
        if (Array.isArray(json.tags)) tags.push(...json.tags.filter((tag) => typeof tag === "string"));
        const next = nextPage(answer.headers.get("link"), path);
        if (next === undefined) return tags;
        path = next;
      }
      throw new HullError("resource-exhausted", `${this.path} has more tags than can be listed`);
    });
  }

  /** Answers the digest that the registry gave it. */
  async putManifest(
    tagOrDigest: string,
    { mediaType, bytes }: { readonly mediaType: string; readonly bytes: Uint8Array },
  ): Promise<void> {
    const answer = await this.#patiently(() =>
      this.origin.expect([200, 201, 202], {
        method: "PUT",
        path: `/${this.path}/manifests/${tagOrDigest}`,
        headers: { "Content-Type": mediaType, "Content-Length": String(bytes.length) },
        body: () => bytes,
        scopes: this.scopes("pull,push"),
        signal: this.access.signal,
      }),
    );
    await drain(answer);
    const said = answer.headers.get("docker-content-digest");
    if (said !== null && isDigest(said) && said !== digestOf(bytes)) {
      throw new HullError("internal", `the registry stored ${tagOrDigest} as ${said}, not as ${digestOf(bytes)}`);
    }
  }

  #patiently<T>(work: () => Promise<T>): Promise<T> {
    return patiently({ attempts: ATTEMPTS, signal: this.access.signal }, work);
  }

  #manifestRequest(method: string, tagOrDigest: string) {
    const { signal } = this.access;
    const path = `/${this.path}/manifests/${tagOrDigest}`;
    return { method, path, headers: { Accept: ACCEPTED }, scopes: this.scopes("pull"), signal };
  }
}

const typeOf = (answer: WebResponse): string => (answer.headers.get("content-type") ?? "").split(";", 1)[0]!.trim();

/** `Link: </v2/x/tags/list?last=y>; rel="next"`, as a path below the root. */
export function nextPage(link: string | null, current: string): string | undefined {
  const target = /<([^>]+)>\s*;[^,]*rel="?next"?/.exec(link ?? "")?.[1];
  if (target === undefined) return undefined;
  const query = target.indexOf("?");
  return query < 0 ? undefined : `${current.split("?", 1)[0]}${target.slice(query)}`;
}
