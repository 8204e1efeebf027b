/** Credentials of registries as `docker login` keeps them: DOCKER_AUTH_CONFIG, helpers, config.json. Hosts are compared whole. */
import {
  canonicalRegistry,
  DOCKER_HUB,
  DOCKER_HUB_INDEX,
  splitAuth,
  type WireAuth,
} from "../../registry/client/credentials.ts";
import {
  type CredentialConfig,
  configPath,
  environmentAuths,
  readConfig,
  type StoredAuth,
  writeAuths,
} from "./config-file.ts";
import {
  eraseFromHelper,
  getFromHelper,
  IDENTITY_TOKEN_USER,
  listOfHelper,
  storeInHelper,
} from "./credential-program.ts";

/** The key of a registry, which may be given as a host, a URL or any name of Docker Hub. */
export function keyOf(server: string): string {
  const registry = canonicalRegistry(server);
  return registry === DOCKER_HUB ? DOCKER_HUB_INDEX : registry;
}

/** What goes to the engine for a registry; undefined where there is nothing. */
export function findAuth(directory: string, server: string): WireAuth | undefined {
  const key = keyOf(server);
  const given = entryOf(environmentAuths(process.env.DOCKER_AUTH_CONFIG), key);
  if (given) return wireAuth(key, given);
  const config = readConfig(directory);
  const helper = helperOf(config, key);
  if (helper !== undefined) return fromHelper(helper, key);
  const stored = entryOf(config.auths ?? {}, key);
  return stored && wireAuth(key, stored);
}

/** Everything there is, by key: for a build, whose registries are not known before. */
export function allAuths(directory: string): Record<string, WireAuth> {
  const config = readConfig(directory);
  const stored = config.credsStore ? Object.keys(listOfHelper(config.credsStore)) : Object.keys(config.auths ?? {});
  const others = [
    ...Object.keys(config.credHelpers ?? {}),
    ...Object.keys(environmentAuths(process.env.DOCKER_AUTH_CONFIG)),
  ];
  const found = [...new Set([...stored, ...others])].map(
    (server) => [keyOf(server), findAuth(directory, server)] as const,
  );
  return Object.fromEntries(found.filter((entry): entry is readonly [string, WireAuth] => entry[1] !== undefined));
}

/** A header's value. */
export const encodeAuth = (auth: WireAuth | Readonly<Record<string, WireAuth>> | undefined): string =>
  Buffer.from(JSON.stringify(auth ?? {})).toString("base64url");

/** Headers of a request about images of a registry. */
export function authHeaders(directory: string, registry: string): Record<string, string> {
  const auth = findAuth(directory, registry);
  return { "X-Registry-Auth": encodeAuth(auth) };
}

export interface Login {
  readonly username: string;
  readonly password: string;
  /** In the place of the password, where the registry gave one. */
  readonly identityToken: string;
}

/** Answers where they are kept in the open: the file; undefined with a helper. */
export function storeAuth(
  directory: string,
  server: string,
  { username, password, identityToken }: Login,
): string | undefined {
  const key = keyOf(server);
  const config = readConfig(directory);
  const helper = helperOf(config, key);
  if (helper !== undefined) {
    const named =
      identityToken === ""
        ? { Username: username, Secret: password }
        : { Username: IDENTITY_TOKEN_USER, Secret: identityToken };
    storeInHelper(helper, { ServerURL: key, ...named });
    return undefined;
  }
  const auth = Buffer.from(`${username}:${identityToken === "" ? password : ""}`).toString("base64");
  const entry = { auth, ...(identityToken !== "" && { identitytoken: identityToken }) };
  writeAuths(directory, { ...config.auths, [key]: entry });
  return configPath(directory);
}

/** False when there was nothing to forget. */
export function eraseAuth(directory: string, server: string): boolean {
  const key = keyOf(server);
  const config = readConfig(directory);
  const helper = helperOf(config, key);
  if (helper !== undefined) {
    const known = getFromHelper(helper, key) !== undefined;
    eraseFromHelper(helper, key);
    return known;
  }
  const kept = Object.entries(config.auths ?? {}).filter(([name]) => keyOf(name) !== key);
  if (kept.length === Object.keys(config.auths ?? {}).length) return false;
  writeAuths(directory, Object.fromEntries(kept));
  return true;
}

const helperOf = ({ credHelpers, credsStore }: CredentialConfig, key: string): string | undefined =>
  Object.entries(credHelpers ?? {}).find(([server]) => keyOf(server) === key)?.[1] ?? (credsStore || undefined);

function entryOf(auths: Readonly<Record<string, StoredAuth>>, key: string): StoredAuth | undefined {
  return Object.entries(auths).find(([server]) => keyOf(server) === key)?.[1];
}

function fromHelper(helper: string, key: string): WireAuth | undefined {
  const found = getFromHelper(helper, key);
  if (!found) return undefined;
  if (found.Username === IDENTITY_TOKEN_USER) return { identitytoken: found.Secret, serveraddress: key };
  return { username: found.Username, password: found.Secret, serveraddress: key };
}

function wireAuth(
  key: string,
  { auth, username = "", password = "", identitytoken, registrytoken }: StoredAuth,
): WireAuth {
  const [user, secret] = auth ? splitAuth(auth) : [username, password];
  return {
    username: user,
    password: secret,
    serveraddress: key,
    ...(identitytoken !== undefined && { identitytoken }),
    ...(registrytoken !== undefined && { registrytoken }),
  };
}
