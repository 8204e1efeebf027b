/** `docker login`: whether a registry takes these credentials, and the identity token that it gives for them. */
import { codeOf, HullError } from "../../platform/errors.ts";
import { boundedText } from "./answer.ts";
import { type Credentials, canonicalRegistry } from "./credentials.ts";
import { endpointsOf } from "./endpoint.ts";
import { EndpointRequests, type RegistryState } from "./requests.ts";
import type { RegistrySettings } from "./settings.ts";

const MAX_BYTES = 64 * 1024;

export interface LoginRequest {
  /** As the user names it: "https://index.docker.io/v1/", "localhost:5000". */
  readonly server: string;
  readonly credentials: Credentials;
  readonly settings: RegistrySettings;
  readonly signal: AbortSignal;
}

/** Resolves with the identity token, "" where there is none. Throws unauthenticated when the registry refuses. */
export async function login(
  state: RegistryState,
  { server, credentials, settings, signal }: LoginRequest,
): Promise<string> {
  const endpoint = (await endpointsOf(canonicalRegistry(server), settings)).at(-1)!;
  const requests = new EndpointRequests(state, { endpoint, credentials, trustedRealms: settings.trustedRealms });
  const answer = await asked(requests, signal);
  if (answer.status !== 200) {
    await boundedText(answer, MAX_BYTES);
    const outcome = `login attempt to ${requests.root}/ failed with status: ${answer.status} ${answer.statusText}`;
    throw new HullError(answer.status === 401 ? "unauthenticated" : "internal", outcome);
  }
  await boundedText(answer, MAX_BYTES);
  return requests.identityToken(signal);
}

async function asked(requests: EndpointRequests, signal: AbortSignal) {
  try {
    return await requests.send({ method: "GET", path: "/", scopes: [], signal });
  } catch (error) {
    const refusedByTokens =
      error instanceof HullError && error.facts.token === 1 && codeOf(error) === "unauthenticated";
    if (!refusedByTokens) throw error;
    throw new HullError("unauthenticated", `Get "${requests.root}/": unauthorized: incorrect username or password`, {
      cause: error,
    });
  }
}
