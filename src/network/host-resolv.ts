/** The host's resolv.conf as containers are to follow it. */
import { readFileSync } from "node:fs";
import {
  asksStub,
  HOST_RESOLV_CONF,
  parseResolvConf,
  type ResolvConf,
  SYSTEMD_RESOLV_CONF,
} from "./dns/resolv-conf.ts";

const EMPTY: ResolvConf = { servers: [], search: [], options: [] };

function read(path: string): ResolvConf {
  try {
    return parseResolvConf(readFileSync(path, "utf8"));
  } catch {
    // No file is the resolver's "nothing configured".
    return EMPTY;
  }
}

/** What containers without name servers of their own follow. */
export function readFollowed(): ResolvConf {
  const host = read(HOST_RESOLV_CONF);
  if (!asksStub(host)) return host;
  const real = read(SYSTEMD_RESOLV_CONF);
  return real.servers.length > 0 ? real : host;
}

/** The host's own file, for containers in the host's namespace. */
export const readHostResolv = (): ResolvConf => read(HOST_RESOLV_CONF);

/** The servers netd itself asks: in the host's namespace its loopback stub works. */
export const readHostServers = (): readonly string[] => read(HOST_RESOLV_CONF).servers;
