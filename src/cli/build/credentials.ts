/** Credentials of a registry as `docker login` keeps them: in config.json, or with a helper that it names. */
import { spawnSync } from "node:child_process";
import { HullError } from "../../platform/errors.ts";
import { readIfThere } from "../../platform/quick-file.ts";

export interface Credentials {
  readonly Username: string;
  readonly Secret: string;
}

interface ConfigFile {
  readonly auths?: Readonly<
    Record<string, { readonly auth?: string; readonly username?: string; readonly password?: string }>
  >;
  readonly credsStore?: string;
  readonly credHelpers?: Readonly<Record<string, string>>;
}

const DOCKER_HUB = "https://index.docker.io/v1/";
const none: Credentials = { Username: "", Secret: "" };

/** Empty where there are none. */
export function readCredentials(configDirectory: string, host: string): Credentials {
  const path = `${configDirectory}/config.json`;
  const text = readIfThere(path);
  if (text === undefined) return none;
  const config = parse(path, text);
  const key = host === "registry-1.docker.io" || host === "docker.io" ? DOCKER_HUB : host;
  const helper = config.credHelpers?.[key] ?? config.credsStore;
  if (helper) return fromHelper(helper, key);
  const entry = config.auths?.[key] ?? config.auths?.[`https://${key}`];
  if (!entry) return none;
  if (!entry.auth) return { Username: entry.username ?? "", Secret: entry.password ?? "" };
  const plain = Buffer.from(entry.auth, "base64").toString();
  const colon = plain.indexOf(":");
  return { Username: plain.slice(0, colon), Secret: plain.slice(colon + 1).replace(/\0+$/, "") };
}

function parse(path: string, text: string): ConfigFile {
  try {
    return JSON.parse(text) as ConfigFile;
  } catch (error) {
    throw new HullError("invalid-argument", `${path} is not valid JSON: repair or remove it`, { cause: error });
  }
}

function fromHelper(helper: string, key: string): Credentials {
  const asked = spawnSync(`docker-credential-${helper}`, ["get"], { input: key, encoding: "utf8" });
  if (asked.error) throw new HullError("not-found", `docker-credential-${helper}: ${asked.error.message}`);
  if (/credentials not found/.test(asked.stdout)) return none;
  if (asked.status !== 0) throw new HullError("internal", `docker-credential-${helper}: ${asked.stdout.trim()}`);
  const { Username, Secret } = JSON.parse(asked.stdout) as Credentials;
  return { Username, Secret };
}
