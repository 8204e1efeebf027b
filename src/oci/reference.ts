/**
 * Image references as Docker reads them: [domain/]path[:tag][@digest] (distribution's reference grammar), with
 * docker.io and library/ understood where they are left out.
 */
import { HullError } from "../platform/errors.ts";
import { type Digest, isDigest } from "./digest.ts";

export interface Reference {
  /** "docker.io", "localhost:5000" */
  readonly domain: string;
  /** "library/busybox" */
  readonly path: string;
  readonly tag?: string;
  readonly digest?: Digest;
}

const DEFAULT_DOMAIN = "docker.io";
const MAX_NAME = 255;
const component = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const domainForm =
  /^(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?$/;
const tagForm = /^[\w][\w.-]{0,127}$/;

/** Throws `invalid-argument` with Docker's words. The tag stays absent when not given: see `withDefaultTag`. */
export function parseReference(text: string): Reference {
  if (text === "") throw bad("invalid reference format");
  if (/^[a-f0-9]{64}$/.test(text)) {
    throw bad(`invalid repository name (${text}), cannot specify 64-byte hexadecimal strings`);
  }
  const { name, tag, digest } = cut(text);
  const { domain, path } = splitDomain(name);
  const named = path.split(":", 1)[0]!; // Of "A:b:c" too, Docker names what stands before the first colon.
  if (/[A-Z]/.test(named)) throw bad(`invalid reference format: repository name (${named}) must be lowercase`);
  if (!domainForm.test(domain) || path === "" || !path.split("/").every((part) => component.test(part))) {
    throw bad("invalid reference format");
  }
  if (domain.length + 1 + path.length > MAX_NAME) {
    throw bad(`invalid reference format: repository name must not be more than ${MAX_NAME} characters`);
  }
  if (tag !== undefined && !tagForm.test(tag)) throw bad("invalid reference format");
  if (digest !== undefined && !isDigest(digest)) throw bad("invalid reference format");
  return { domain, path, ...(tag !== undefined && { tag }), ...(digest !== undefined && { digest }) };
}

const bad = (message: string): HullError => new HullError("invalid-argument", message);

function cut(text: string): { name: string; tag?: string; digest?: string } {
  const at = text.indexOf("@");
  const digest = at < 0 ? undefined : text.slice(at + 1);
  const rest = at < 0 ? text : text.slice(0, at);
  const colon = rest.lastIndexOf(":");
  const tagged = colon > rest.lastIndexOf("/");
  return {
    name: tagged ? rest.slice(0, colon) : rest,
    ...(tagged && { tag: rest.slice(colon + 1) }),
    ...(digest !== undefined && { digest }),
  };
}

/** The first part is a domain when it looks like one: a dot, a port, "localhost" or an upper-case letter. */
function splitDomain(name: string): { domain: string; path: string } {
  const slash = name.indexOf("/");
  const first = slash < 0 ? "" : name.slice(0, slash);
  const isDomain = first !== "" && (/[.:A-Z]/.test(first) || first === "localhost");
  const domain = isDomain ? first : DEFAULT_DOMAIN;
  const path = isDomain ? name.slice(slash + 1) : name;
  if (domain === "index.docker.io" || domain === DEFAULT_DOMAIN) {
    return { domain: DEFAULT_DOMAIN, path: path.includes("/") ? path : `library/${path}` };
  }
  return { domain, path };
}

/** `latest` when neither tag nor digest is given. */
export const withDefaultTag = (reference: Reference): Reference =>
  reference.tag === undefined && reference.digest === undefined ? { ...reference, tag: "latest" } : reference;

/** The repository in full: "docker.io/library/busybox". */
export const repositoryOf = (reference: Reference): string => `${reference.domain}/${reference.path}`;

const suffixOf = (reference: Reference): string =>
  `${reference.tag === undefined ? "" : `:${reference.tag}`}${reference.digest === undefined ? "" : `@${reference.digest}`}`;

/** In full: "docker.io/library/busybox:latest". Image records have this name. */
export const formatReference = (reference: Reference): string => repositoryOf(reference) + suffixOf(reference);

/** The repository as Docker shows it: "busybox", "me/app", "localhost:5000/app". */
export function familiarRepository(reference: Reference): string {
  if (reference.domain !== DEFAULT_DOMAIN) return repositoryOf(reference);
  const bare = reference.path.startsWith("library/") ? reference.path.slice("library/".length) : reference.path;
  return bare.includes("/") ? reference.path : bare;
}

/** As Docker shows it: "busybox:latest". */
export const familiarReference = (reference: Reference): string => familiarRepository(reference) + suffixOf(reference);
