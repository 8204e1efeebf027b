/**
 * HTTP(S) requests to servers elsewhere, over the runtime's fetch: it keeps connections, verifies certificates and takes proxies from the environment.
 * Bodies have back-pressure both ways. Nothing is decompressed, redirects are not followed, and it waits as long as the signal lets it.
 */
export interface ClientTls {
  /** PEM texts, beside the system's. */
  readonly ca?: readonly string[];
  readonly cert?: string;
  readonly key?: string;
  readonly verify: boolean;
}

export interface WebRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** A stream goes out with the length that the headers give, else in chunks. */
  readonly body?: string | Uint8Array | AsyncIterable<Uint8Array> | undefined;
  readonly tls?: ClientTls | undefined;
  /** "http://proxy:3128"; undefined: as the environment says. */
  readonly proxy?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What is used of fetch's answer. */
export interface WebResponse {
  readonly status: number;
  readonly statusText: string;
  readonly headers: { get(name: string): string | null };
  readonly body: AsyncIterable<Uint8Array> | null;
}

export type Fetch = (request: WebRequest) => Promise<WebResponse>;

export const webFetch: Fetch = async ({ method, url, headers, body, tls, proxy, signal }) => {
  const options = {
    method,
    headers,
    redirect: "manual",
    decompress: false,
    timeout: false,
    ...(body !== undefined && { body, duplex: "half" }),
    ...(signal !== undefined && { signal }),
    ...(proxy !== undefined && { proxy }),
    ...(tls !== undefined && { tls: tlsOptions(tls) }),
  };
  return (await fetch(url, options as RequestInit)) as unknown as WebResponse;
};

async function rootsBeside(ca: readonly string[]): Promise<string[]> {
  const { rootCertificates } = await import("node:tls");
  return [...rootCertificates, ...ca];
}

function tlsOptions({ ca, cert, key, verify }: ClientTls): object {
  return {
    rejectUnauthorized: verify,
    ...(ca !== undefined && ca.length > 0 && { ca }),
    ...(cert !== undefined && { cert, key }),
  };
}

/** A registry's own authority beside the ones that everybody trusts. */
export const withSystemRoots = async (tls: ClientTls): Promise<ClientTls> =>
  tls.ca === undefined || tls.ca.length === 0 ? tls : { ...tls, ca: await rootsBeside(tls.ca) };

/** This machine's own addresses are never asked for by a proxy. */
export function exemptLoopbackFromProxies(env: NodeJS.ProcessEnv): void {
  const local = ["localhost", "127.0.0.1", "::1"];
  const given = (env.NO_PROXY ?? env.no_proxy ?? "").split(",").filter((entry) => entry !== "");
  env.NO_PROXY = [...new Set([...given, ...local])].join(",");
  env.no_proxy = env.NO_PROXY;
}
