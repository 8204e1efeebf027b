/** Failures of pulls in dockerd's words, after which its clients and people's scripts look. */
import { familiarReference, familiarRepository, type Reference } from "../../oci/reference.ts";
import { HullError, messageOf } from "../../platform/errors.ts";

export function pullFailure(reference: Reference, error: unknown): unknown {
  if (!(error instanceof HullError)) return error;
  const { registryCode, status, token } = error.facts;
  const say = (what: string): HullError =>
    new HullError("not-found", `${what}: ${messageOf(error)}`, { cause: error, facts: error.facts });
  const denied = `pull access denied for ${familiarRepository(reference)}, repository does not exist or may require 'docker login'`;
  if (registryCode === "DENIED" || (status === 401 && token === undefined) || status === 403) return say(denied);
  if (registryCode === "MANIFEST_UNKNOWN" || (registryCode === undefined && status === 404))
    return say(`manifest for ${familiarReference(reference)} not found`);
  if (registryCode === "NAME_UNKNOWN") return say(`repository ${familiarRepository(reference)} not found`);
  return error;
}
