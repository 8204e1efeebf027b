/** Whether a registry's token server may be asked, and with credentials: its address comes from the registry's answer and is not trusted. */
import ipaddr from "ipaddr.js";
import { HullError } from "../../platform/errors.ts";
import type { Wish } from "./authorizer.ts";
import { hostnameOf, isLoopback } from "./settings.ts";

/** Throws permission-denied for an address that a registry has no business to send us to, or would carry credentials away. */
export function checkRealm(
  realm: string,
  { root, credentials, trustedRealms }: Pick<Wish, "root" | "credentials" | "trustedRealms">,
): URL {
  const registry = new URL(root);
  const url = parseRealm(realm, registry);
  const refused = (why: string): HullError =>
    new HullError("permission-denied", `${registry.host} wants a token from ${url.host}: ${why}`, {
      facts: { why: "realm" },
    });
  if (url.username !== "" || url.password !== "") throw refused("a token server's address has no user in it");
  if (!["http:", "https:"].includes(url.protocol)) throw refused("it is neither http nor https");
  const name = hostnameOf(url.host);
  if (isMachineLocal(name)) throw refused("addresses of the local link (cloud metadata) are never asked");
  if (url.protocol === "http:" && registry.protocol === "https:")
    throw refused("it is not asked without TLS by a registry that has it");
  if (credentials === undefined || trustedRealms.includes(url.host) || trustedRealms.includes(name)) return url;
  if (!isSameSite(hostnameOf(registry.host), name)) {
    throw refused(
      "it is another site, so the registry's credentials are not sent there; list it in trusted-auth-realms in daemon.json if it is right",
    );
  }
  return url;
}

function parseRealm(realm: string, registry: URL): URL {
  if (realm !== "" && URL.canParse(realm, registry.href)) return new URL(realm, registry);
  throw new HullError("unavailable", `${registry.host} names no valid token server ("${realm.slice(0, 100)}")`);
}

function isMachineLocal(name: string): boolean {
  return (
    ipaddr.isValid(name) &&
    ["linkLocal", "unspecified", "multicast", "broadcast"].includes(ipaddr.process(name).range())
  );
}

/** Equal, both this machine, or names below one registered domain: two labels, three where the last two are short ("co.uk"). */
export function isSameSite(one: string, other: string): boolean {
  if (one === other || (isLoopback(one) && isLoopback(other))) return true;
  if (ipaddr.isValid(one) || ipaddr.isValid(other)) return false;
  const site = siteOf(one);
  return site !== "" && site === siteOf(other);
}

function siteOf(name: string): string {
  const labels = name.toLowerCase().split(".");
  const [last = "", second = ""] = labels.toReversed();
  const count = last.length === 2 && second.length <= 3 ? 3 : 2;
  return labels.length < count ? "" : labels.slice(-count).join(".");
}
