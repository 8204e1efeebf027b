/** What proves who somebody is to one registry, and whose registry that is. */
import { HullError } from "../../platform/errors.ts";

export interface Credentials {
  readonly username: string;
  readonly password: string;
  /** A refresh token, in the place of a password. */
  readonly identityToken: string;
  /** A finished bearer token. */
  readonly registryToken: string;
}

export const DOCKER_HUB = "docker.io";
export const DOCKER_HUB_HOST = "registry-1.docker.io";
/** The key of Docker Hub in config.json. */
export const DOCKER_HUB_INDEX = "https://index.docker.io/v1/";

/** "https://host:port/v2/" -> "host:port"; every name of Docker Hub -> "docker.io". Compared exactly: parts of names are other hosts. */
export function canonicalRegistry(server: string): string {
  const host = server
    .replace(/^https?:\/\//, "")
    .split("/", 1)[0]!
    .toLowerCase();
  return ["index.docker.io", DOCKER_HUB_HOST, "registry.hub.docker.com", DOCKER_HUB].includes(host) ? DOCKER_HUB : host;
}

/** What clients send as base64url JSON: X-Registry-Auth, and the values of X-Registry-Config. */
export interface WireAuth {
  readonly username?: string;
  readonly password?: string;
  readonly auth?: string;
  readonly serveraddress?: string;
  readonly identitytoken?: string;
  readonly registrytoken?: string;
}

/** Undefined when they are empty, or another registry's. */
export function credentialsFor(registry: string, auth: WireAuth | undefined): Credentials | undefined {
  if (auth === undefined) return undefined;
  const server = auth.serveraddress ?? "";
  if (server !== "" && canonicalRegistry(server) !== canonicalRegistry(registry)) return undefined;
  const [username, password] = auth.auth ? splitAuth(auth.auth) : [auth.username ?? "", auth.password ?? ""];
  const found = {
    username,
    password,
    identityToken: auth.identitytoken ?? "",
    registryToken: auth.registrytoken ?? "",
  };
  const empty = username === "" && found.identityToken === "" && found.registryToken === "";
  return empty ? undefined : found;
}

/** base64 of "user:password". */
export function splitAuth(auth: string): [string, string] {
  const plain = Buffer.from(auth, "base64").toString();
  const colon = plain.indexOf(":");
  if (colon < 0) throw new HullError("invalid-argument", "invalid auth configuration: want base64 of user:password");
  return [plain.slice(0, colon), plain.slice(colon + 1).replace(/\0+$/, "")];
}

/** A header's value; what is no such thing is as if it were not there, as for dockerd. */
export function decodeWireAuth(header: string | undefined): WireAuth | undefined {
  if (header === undefined || header === "") return undefined;
  try {
    const json: unknown = JSON.parse(Buffer.from(header, "base64url").toString());
    if (typeof json !== "object" || json === null) return undefined;
    const texts = Object.entries(json).filter(([, value]) => typeof value === "string");
    return Object.fromEntries(texts) as WireAuth;
  } catch {
    return undefined;
  }
}
