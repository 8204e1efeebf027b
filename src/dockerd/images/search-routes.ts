/** GET /images/search */
import { call } from "../../containerd/client.ts";
import { HullError } from "../../platform/errors.ts";
import { credentialsFor, decodeWireAuth } from "../../registry/client/credentials.ts";
import { splitTerm } from "../../registry/client/search-term.ts";
import { patient } from "../containers/patient-client.ts";
import { parseFilters } from "../http/filters.ts";
import type { ApiRequest } from "../http/request.ts";
import type { ApiResponse } from "../http/response.ts";
import { type ImagePorts, scopeOf } from "./ports.ts";

const DEFAULT_LIMIT = 25;
const MOST = 100;

export async function searchImages({ images }: ImagePorts, request: ApiRequest, response: ApiResponse): Promise<void> {
  const term = request.query.text("term");
  const limit = Number(request.query.text("limit") || DEFAULT_LIMIT);
  if (!(limit >= 1 && limit <= MOST)) {
    throw new HullError("invalid-argument", `limit ${limit} is outside the range of [1, ${MOST}]`);
  }
  const filters = parseFilters(request.query.text("filters"), ["is-official", "is-automated", "stars"]);
  const auth = credentialsFor(splitTerm(term).registry, decodeWireAuth(request.headers.get("x-registry-auth")));
  const asked = { term, limit, ...(auth && { auth }) };
  const { results } = await patient(images.parts.containerd).registries.search(asked, call(scopeOf(request)));
  const [official, automated] = [filters.bool("is-official"), filters.bool("is-automated")];
  const stars = Math.max(0, ...filters.get("stars").map(Number));
  const rows = results
    .filter((row) => official === undefined || row.official === official)
    .filter((row) => automated === undefined || row.automated === automated)
    .filter((row) => Number(row.stars) >= stars);
  response.json(
    200,
    rows.map((row) => ({
      star_count: Number(row.stars),
      is_official: row.official,
      name: row.name,
      is_automated: row.automated,
      description: row.description,
    })),
  );
}
