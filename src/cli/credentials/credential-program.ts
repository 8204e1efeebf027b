/** Credential helpers: programs docker-credential-NAME that take a registry or credentials on stdin and answer on stdout. */
import { spawnSync } from "node:child_process";
import { HullError } from "../../platform/errors.ts";

export interface HelperCredentials {
  readonly ServerURL: string;
  /** "<token>": the secret is an identity token. */
  readonly Username: string;
  readonly Secret: string;
}

export const IDENTITY_TOKEN_USER = "<token>";

/** Undefined when it has none for the registry. Throws when the program is missing or fails: what it keeps is not guessed. */
export function getFromHelper(helper: string, server: string): HelperCredentials | undefined {
  const { status, stdout } = runHelper(helper, "get", server);
  if (/credentials not found/.test(stdout)) return undefined;
  if (status !== 0) throw failed(helper, stdout);
  return parse(helper, stdout) as HelperCredentials;
}

/** Registry to user. */
export function listOfHelper(helper: string): Readonly<Record<string, string>> {
  const { status, stdout } = runHelper(helper, "list", "");
  if (status !== 0) throw failed(helper, stdout);
  return parse(helper, stdout) as Record<string, string>;
}

export function storeInHelper(helper: string, credentials: HelperCredentials): void {
  const { status, stdout } = runHelper(helper, "store", JSON.stringify(credentials));
  if (status !== 0) throw failed(helper, stdout);
}

export function eraseFromHelper(helper: string, server: string): void {
  const { status, stdout } = runHelper(helper, "erase", server);
  if (status !== 0 && !/credentials not found/.test(stdout)) throw failed(helper, stdout);
}

function runHelper(
  helper: string,
  action: string,
  input: string,
): { readonly status: number | null; readonly stdout: string } {
  const asked = spawnSync(`docker-credential-${helper}`, [action], { input, encoding: "utf8" });
  if (asked.error) {
    throw new HullError(
      "not-found",
      `docker-credential-${helper}, which config.json names, cannot be run: ${asked.error.message}`,
    );
  }
  return { status: asked.status, stdout: asked.stdout.trim() };
}

const failed = (helper: string, said: string): HullError =>
  new HullError("internal", `docker-credential-${helper}: ${said}`);

function parse(helper: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new HullError("internal", `docker-credential-${helper} did not answer with JSON`, { cause: error });
  }
}
