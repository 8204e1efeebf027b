/** `docker search`: the v1 search endpoint of Docker Hub or of a registry that has one. */
import { HullError } from "../../platform/errors.ts";
import { boundedText } from "./answer.ts";
import { type Credentials, DOCKER_HUB } from "./credentials.ts";
import { endpointsOf } from "./endpoint.ts";
import { EndpointRequests, type RegistryState } from "./requests.ts";
import { splitTerm } from "./search-term.ts";
import type { RegistrySettings } from "./settings.ts";

const MAX_BYTES = 4 * 1024 * 1024;
const HUB_SEARCH = "https://index.docker.io/v1/search";

export interface SearchRequest {
  /** "nginx", "quay.io/nginx" */
  readonly term: string;
  readonly limit: number;
  readonly credentials: Credentials | undefined;
  readonly settings: RegistrySettings;
  readonly signal: AbortSignal;
}

export interface SearchResult {
  readonly name: string;
  readonly description: string;
  readonly star_count: number;
  readonly is_official: boolean;
  readonly is_automated: boolean;
}

export async function search(state: RegistryState, request: SearchRequest): Promise<SearchResult[]> {
  const { settings, credentials, limit, signal } = request;
  const { registry, term } = splitTerm(request.term);
  const endpoint = (await endpointsOf(registry, settings)).at(-1)!;
  const requests = new EndpointRequests(state, { endpoint, credentials, trustedRealms: settings.trustedRealms });
  const query = new URLSearchParams({ q: term, n: String(limit) });
  const path = registry === DOCKER_HUB ? `${HUB_SEARCH}?${query}` : `../v1/search?${query}`;
  const answer = await requests.expect([200], { method: "GET", path, scopes: [], signal });
  return parseResults(await boundedText(answer, MAX_BYTES));
}

function parseResults(text: string): SearchResult[] {
  let json: { readonly results?: unknown };
  try {
    json = JSON.parse(text) as typeof json;
  } catch (error) {
    throw new HullError("unavailable", "the registry's answer to a search is not JSON", { cause: error });
  }
  const rows = Array.isArray(json.results) ? (json.results as Readonly<Record<string, unknown>>[]) : [];
  return rows.map((row) => ({
    name: String(row.name ?? ""),
    description: String(row.description ?? ""),
    star_count: Number(row.star_count ?? 0),
    is_official: row.is_official === true,
    is_automated: row.is_automated === true,
  }));
}
