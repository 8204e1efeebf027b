/** What `docker login` keeps in config.json: credentials, or the helpers that have them. Other keys of the file stay as they are. */
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { HullError } from "../../platform/errors.ts";
import { readIfThere } from "../../platform/quick-file.ts";

export interface StoredAuth {
  /** base64 of user:password. */
  readonly auth?: string;
  readonly identitytoken?: string;
  readonly registrytoken?: string;
  readonly username?: string;
  readonly password?: string;
}

export interface CredentialConfig {
  readonly auths?: Readonly<Record<string, StoredAuth>>;
  readonly credsStore?: string;
  readonly credHelpers?: Readonly<Record<string, string>>;
}

export const configPath = (directory: string): string => `${directory}/config.json`;

/** Empty where there is none. Throws invalid-argument for a file that is not JSON. */
export function readConfig(directory: string): CredentialConfig & Readonly<Record<string, unknown>> {
  const path = configPath(directory);
  const text = readIfThere(path);
  if (text === undefined || text.trim() === "") return {};
  try {
    return JSON.parse(text) as CredentialConfig & Record<string, unknown>;
  } catch (error) {
    throw new HullError("invalid-argument", `${path} is not valid JSON: repair or remove it`, { cause: error });
  }
}

/** Changes `auths` and leaves the rest. */
export function writeAuths(directory: string, auths: Readonly<Record<string, StoredAuth>>): void {
  const path = configPath(directory);
  const { auths: _, ...rest } = readConfig(directory);
  const next = Object.keys(auths).length === 0 && _ === undefined ? rest : { auths, ...rest };
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  writeFileSync(`${path}.new`, `${JSON.stringify(next, null, "\t")}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** DOCKER_AUTH_CONFIG: credentials for this command alone, before those of the file. Throws invalid-argument. */
export function environmentAuths(text: string | undefined): Readonly<Record<string, StoredAuth>> {
  if (text === undefined || text === "") return {};
  try {
    const { auths, ...others } = JSON.parse(text) as CredentialConfig;
    const [unknown] = Object.keys(others);
    if (unknown !== undefined) throw new Error(`unknown field ${JSON.stringify(unknown)}`);
    return auths ?? {};
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new HullError("invalid-argument", `DOCKER_AUTH_CONFIG: ${why}: want {"auths":{"HOST":{"auth":"..."}}}`, {
      cause: error,
    });
  }
}
