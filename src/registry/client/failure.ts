/** What goes wrong on the way to a registry and what registries answer, in the words that Docker uses (its clients and scripts know them). */
import { type ErrorCode, HullError, messageOf } from "../../platform/errors.ts";

/** "MANIFEST_UNKNOWN" and the like; "" where the answer has none. */
export interface RegistryRefusal {
  readonly status: number;
  readonly code: string;
  readonly message: string;
}

const codeOfStatus: Readonly<Record<number, ErrorCode>> = {
  400: "invalid-argument",
  401: "unauthenticated",
  403: "permission-denied",
  404: "not-found",
  405: "unimplemented",
  416: "failed-precondition",
  429: "resource-exhausted",
};

/** An answer that is no success. `facts` tell programs: registryCode, status, retryAfterMs. */
export function refusal(refused: RegistryRefusal, facts: Readonly<Record<string, string | number>> = {}): HullError {
  const { status, code, message } = refused;
  const text = code === "" ? message : `${code.toLowerCase().replaceAll("_", " ")}: ${message}`;
  const hull = codeOfStatus[status] ?? (status >= 500 ? "unavailable" : "internal");
  return new HullError(hull, text, { facts: { ...facts, status, ...(code !== "" && { registryCode: code }) } });
}

/** The first error of a registry's JSON; the status line where the body is none. */
export function parseRefusal(status: number, statusText: string, body: string): RegistryRefusal {
  try {
    const json = JSON.parse(body) as { errors?: { code?: string; message?: string }[]; details?: string };
    const first = json.errors?.[0];
    if (first?.code !== undefined)
      return { status, code: first.code, message: first.message || first.code.toLowerCase() };
    if (json.details) return { status, code: "", message: json.details };
  } catch {
    // No JSON: a proxy's page or nothing.
  }
  const known = status === 429 ? "toomanyrequests: too many requests" : `${status} ${statusText}`.trim();
  const message = status === 429 ? known : `received unexpected HTTP status: ${known}`;
  return { status, code: "", message };
}

type Why = "refused" | "not-tls" | "certificate" | "no-host" | "broken" | "late";

const certificateWords: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: "certificate has expired or is not yet valid",
  CERT_NOT_YET_VALID: "certificate has expired or is not yet valid",
  ERR_TLS_CERT_ALTNAME_INVALID: "certificate is not valid for any names, but wanted to match",
};

const unknownAuthority = /SELF_SIGNED|UNABLE_TO_|CERT_UNTRUSTED|INVALID_CA|CERT_SIGNATURE|ISSUER/;

export function whyOf(error: unknown): Why {
  const code = String((error as { code?: unknown }).code ?? "");
  if (code === "ECONNREFUSED" || code === "EHOSTUNREACH" || code === "ENETUNREACH") return "refused";
  if (code === "EPROTO" || code === "ERR_SSL_WRONG_VERSION_NUMBER") return "not-tls";
  if (code in certificateWords || unknownAuthority.test(code)) return "certificate";
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") return "no-host";
  if (error instanceof Error && error.name === "TimeoutError") return "late";
  return "broken";
}

/** A request that got no answer. The query of the URL may hold secrets and is left out. */
export function unanswered(method: string, url: string, error: unknown): HullError {
  const { origin, pathname, host, hostname, port, protocol } = new URL(url);
  const verb = method.charAt(0) + method.slice(1).toLowerCase();
  const code = String((error as { code?: unknown }).code ?? "");
  const address = port === "" ? `${host}:${protocol === "https:" ? 443 : 80}` : host;
  const words: Readonly<Record<Why, string>> = {
    refused: `dial tcp ${address}: connect: connection refused`,
    "not-tls": "http: server gave HTTP response to HTTPS client",
    certificate: `tls: failed to verify certificate: x509: ${certificateWord(code, hostname)}`,
    "no-host": `dial tcp: lookup ${hostname}: no such host`,
    broken: `connection broken: ${messageOf(error).replace(/ For more information.*$/, "")}`,
    late: "net/http: request canceled (Client.Timeout exceeded while awaiting headers)",
  };
  const why = whyOf(error);
  // Of a registry that cannot be reached at all dockerd names the API, which it asks first.
  const isAway = why !== "broken" && why !== "late" && pathname.startsWith("/v2/");
  const asked = isAway ? `Get "${origin}/v2/"` : `${verb} "${origin}${pathname}"`;
  return new HullError("unavailable", `${asked}: ${words[why]}`, {
    cause: error,
    facts: { why },
  });
}

function certificateWord(code: string, hostname: string): string {
  const word = certificateWords[code] ?? "certificate signed by unknown authority";
  return code === "ERR_TLS_CERT_ALTNAME_INVALID" ? `${word} ${hostname}` : word;
}

/** Trying again may help: the connection broke, or the registry said it was in trouble or busy. */
export function isTransient(error: unknown): boolean {
  if (!(error instanceof HullError)) return false;
  const { status, why } = error.facts;
  if (why !== undefined) return why === "broken" || why === "late";
  return status === 408 || status === 429 || (typeof status === "number" && status >= 500);
}
