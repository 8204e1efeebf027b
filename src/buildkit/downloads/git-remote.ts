/** The URL of a repository as git gets it, and the credentials that go with it. */
import { HullError } from "../../platform/errors.ts";
import type { Secrets } from "../solver/ports.ts";

export interface GitRemote {
  /** Without a password. */
  readonly url: string;
  /** "https://host/" for http and https. */
  readonly scope: string;
  readonly overSsh: boolean;
  /** Of the URL itself: "Basic ..."; "" without. */
  readonly ownAuthorization: string;
}

/** Throws invalid-argument for what is none of http, https, git and ssh. */
export function parseRemote(text: string): GitRemote {
  const withScheme = /^github\.com\//.test(text) ? `https://${text}` : text;
  const scheme = /^([a-z0-9+.-]+):\/\//i.exec(withScheme)?.[1]?.toLowerCase();
  if (scheme === undefined && /^[\w-]+@[\w.-]+:/.test(text))
    return { url: text, scope: "", overSsh: true, ownAuthorization: "" };
  if (scheme === undefined || !URL.canParse(withScheme) || !["http", "https", "git", "ssh"].includes(scheme))
    throw new HullError("invalid-argument", `${text}: repositories are fetched by http, https, git and ssh alone`);
  const url = new URL(withScheme);
  if (scheme === "ssh" || scheme === "git")
    return { url: withScheme, scope: "", overSsh: scheme === "ssh", ownAuthorization: "" };
  const { username, password } = url;
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  const ownAuthorization = username + password === "" ? "" : `Basic ${Buffer.from(pair).toString("base64")}`;
  url.username = url.password = "";
  return { url: url.href, scope: `${url.origin}/`, overSsh: false, ownAuthorization };
}

/** As BuildKit names the secrets: of the host, else of any. "" without. */
export async function authorizationOf(remote: GitRemote, secrets: Secrets, signal: AbortSignal): Promise<string> {
  if (remote.scope === "") return "";
  const { host } = new URL(remote.scope);
  for (const end of [`.${host}`, ""]) {
    const header = await secrets.secret(`GIT_AUTH_HEADER${end}`, signal);
    if (header) return oneLine(header);
    const token = await secrets.secret(`GIT_AUTH_TOKEN${end}`, signal);
    if (token) return `Basic ${Buffer.from(`x-access-token:${oneLine(token)}`).toString("base64")}`;
  }
  return remote.ownAuthorization;
}

function oneLine(secret: Buffer): string {
  const text = secret.toString().trim();
  if (/[\r\n\0]/.test(text)) throw new HullError("invalid-argument", "a secret for git has several lines");
  return text;
}
