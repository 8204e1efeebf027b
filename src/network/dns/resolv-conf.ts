/** /etc/resolv.conf (resolv.conf(5)): what the host's says, and what a container gets. Pure. */
import type { DnsRequest } from "../api.ts";
import { parseAddress } from "../ipam/prefix.ts";
import { DNS_ADDRESS } from "../sandbox/interface-plan.ts";

export interface ResolvConf {
  readonly servers: readonly string[];
  readonly search: readonly string[];
  readonly options: readonly string[];
}

export const HOST_RESOLV_CONF = "/etc/resolv.conf";
export const SYSTEMD_RESOLV_CONF = "/run/systemd/resolve/resolv.conf";
const SYSTEMD_STUB = "127.0.0.53";

export function parseResolvConf(text: string): ResolvConf {
  const servers: string[] = [];
  let search: string[] = [];
  const options: string[] = [];
  for (const line of text.split("\n")) {
    const [keyword = "", ...values] = line
      .replace(/[#;].*$/, "")
      .trim()
      .split(/\s+/);
    if (keyword === "nameserver" && values[0]) servers.push(values[0]);
    else if (keyword === "search") search = values;
    else if (keyword === "domain" && search.length === 0) search = values.slice(0, 1);
    else if (keyword === "options") options.push(...values);
  }
  return { servers, search, options };
}

/** The host asks systemd-resolved's stub, which containers cannot reach: the file with the real servers is the one to follow. */
export const asksStub = (conf: ResolvConf): boolean => conf.servers.length === 1 && conf.servers[0] === SYSTEMD_STUB;

const isLoopback = (server: string): boolean => {
  try {
    const { family, value } = parseAddress(server.replace(/%.*$/, ""));
    return family === 4 ? value >> 24n === 127n : value === 1n;
  } catch {
    return false;
  }
};

/** What Docker falls back to when the host names only servers of its own loopback. */
const publicServers = ["8.8.8.8", "8.8.4.4"];

export interface ContainerResolv {
  readonly host: ResolvConf;
  readonly request: DnsRequest | undefined;
  /** Values of the daemon, used where the container gives none. */
  readonly defaults: DnsRequest;
  readonly kind: "embedded" | "host-like" | "host";
}

const given = (
  own: readonly string[] | undefined,
  daemon: readonly string[] | undefined,
): readonly string[] | undefined => (own && own.length > 0 ? own : daemon && daemon.length > 0 ? daemon : undefined);

/** The text of a container's file. `embedded`: user-defined networks; `host`: the host's namespace, whose loopback servers work. */
export function containerResolvConf(input: ContainerResolv): string {
  const { host, request, defaults, kind } = input;
  const servers =
    given(request?.servers, defaults.servers) ?? (kind === "host" ? host.servers : reachable(host.servers));
  const search = given(request?.search, defaults.search) ?? host.search;
  const options = given(request?.options, defaults.options) ?? host.options;
  const shown = search.length === 1 && search[0] === "." ? [] : search;
  if (kind === "embedded") return format({ servers: [DNS_ADDRESS], search: shown, options: withNdots(options) });
  return format({ servers, search: shown, options });
}

function reachable(servers: readonly string[]): readonly string[] {
  const found = servers.filter((server) => !isLoopback(server));
  return found.length > 0 ? found : publicServers;
}

/** Single-label names are answered here, so the resolver asks for them as they are. */
const withNdots = (options: readonly string[]): readonly string[] =>
  options.some((option) => option.startsWith("ndots:")) ? options : [...options, "ndots:0"];

export const keepsSingleLabels = (options: readonly string[]): boolean =>
  options.some((option) => /^ndots:[1-9]/.test(option));

function format(conf: ResolvConf): string {
  return [
    "# Written by Glasshull at the container's start",
    ...conf.servers.map((server) => `nameserver ${server}`),
    ...(conf.search.length > 0 ? [`search ${conf.search.join(" ")}`] : []),
    ...(conf.options.length > 0 ? [`options ${conf.options.join(" ")}`] : []),
    "",
  ].join("\n");
}
