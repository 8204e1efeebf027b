/** Proxies by the environment's rules (curl(1), "ENVIRONMENT"): HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY in either case. */
import { HullError } from "../../platform/errors.ts";

/** By the variables' names in upper case. */
export type Proxies = Readonly<Partial<Record<ProxyName, string>>>;

const NAMES = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] as const;
type ProxyName = (typeof NAMES)[number];

/** The lower case counts where both are there. */
export function readProxies(variables: Readonly<Record<string, string | undefined>>): Proxies {
  const found = NAMES.map((name) => [name, variables[name.toLowerCase()] ?? variables[name]] as const);
  return Object.fromEntries(found.filter(([, value]) => value !== undefined));
}

/** Reads them and takes them out: from then on nothing else in this process asks a proxy, and every request says itself which one. */
export function takeProxies(env: NodeJS.ProcessEnv): Proxies {
  const proxies = readProxies(env);
  for (const name of NAMES) {
    delete env[name];
    delete env[name.toLowerCase()];
  }
  return proxies;
}

/** "http://proxy:3128", or undefined for none. Throws invalid-argument for a proxy that is no URL. */
export function proxyFor(url: URL, proxies: Proxies): string | undefined {
  const own = url.protocol === "https:" ? proxies.HTTPS_PROXY : proxies.HTTP_PROXY;
  const given = own || proxies.ALL_PROXY;
  if (!given || isExempt(url, proxies.NO_PROXY ?? "")) return undefined;
  const text = /^[a-z0-9]+:\/\//i.test(given) ? given : `http://${given}`;
  if (!URL.canParse(text) || !/^https?:/i.test(text))
    throw new HullError("invalid-argument", `the proxy for ${url.protocol}//${url.host} is no http or https URL`);
  return text;
}

/** This machine's own addresses are never asked for by a proxy. */
const isLocal = (host: string): boolean => host === "localhost" || /^127\./.test(host) || host === "[::1]";

function isExempt({ hostname, port, protocol }: URL, list: string): boolean {
  if (isLocal(hostname)) return true;
  const ownPort = port || (protocol === "https:" ? "443" : "80");
  return list.split(",").some((entry) => {
    const [, name = "", wantedPort] = /^\s*(.*?)(?::(\d+))?\s*$/.exec(entry) ?? [];
    if (name === "*") return true;
    if (name === "" || (wantedPort !== undefined && wantedPort !== ownPort)) return false;
    const suffix = name.toLowerCase().replace(/^\*?\./, "");
    return hostname === suffix || hostname.endsWith(`.${suffix}`);
  });
}
