/** What is searched for, and where. */
import { HullError } from "../../platform/errors.ts";
import { DOCKER_HUB } from "./credentials.ts";

/** As in a reference: what stands before the first slash is a registry when it looks like one. */
export function splitTerm(text: string): { readonly registry: string; readonly term: string } {
  if (text.includes("://"))
    throw new HullError(
      "invalid-argument",
      `invalid repository name: repository name (${text}) should not have a scheme`,
    );
  const slash = text.indexOf("/");
  const first = slash < 0 ? "" : text.slice(0, slash);
  if (first === "docker.io" || first === "index.docker.io")
    return { registry: DOCKER_HUB, term: text.slice(slash + 1) };
  if (/[.:]/.test(first) || first === "localhost") return { registry: first, term: text.slice(slash + 1) };
  return { registry: DOCKER_HUB, term: text };
}
