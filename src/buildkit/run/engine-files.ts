/** /etc/hosts, /etc/hostname and /etc/resolv.conf of a build container: written beside it and bound into it. */
import { writeFileSync } from "node:fs";
import { isIP } from "node:net";
import { HullError } from "../../platform/errors.ts";

export interface HostsRequest {
  readonly hostname: string;
  /** Of the container; none: its name is the loopback's. */
  readonly addresses: readonly string[];
  /** "name:ip", "name=ip", "name:host-gateway". */
  readonly extraHosts: readonly string[];
  readonly hostGateway: readonly string[];
}

const loopback = [
  "::1\tlocalhost ip6-localhost ip6-loopback",
  "fe00::\tip6-localnet",
  "ff00::\tip6-mcastprefix",
  "ff02::1\tip6-allnodes",
  "ff02::2\tip6-allrouters",
];

/** Pure. Throws invalid-argument for an extra host that is none, failed-precondition where host-gateway is not known. */
export function hostsText({ hostname, addresses, extraHosts, hostGateway }: HostsRequest): string {
  const extra = extraHosts.flatMap((entry) => extraLines(entry, hostGateway));
  const own = addresses.map((address) => `${address}\t${hostname}`);
  const first = `127.0.0.1\tlocalhost${own.length === 0 ? ` ${hostname}` : ""}`;
  return [first, ...loopback, ...extra, ...own].map((line) => `${line}\n`).join("");
}

function extraLines(entry: string, hostGateway: readonly string[]): string[] {
  const at = entry.search(/[:=]/);
  const name = entry.slice(0, Math.max(at, 0));
  const address = entry.slice(at + 1).replace(/^\[(.*)\]$/, "$1");
  if (name === "") throw new HullError("invalid-argument", `invalid host ${entry}: use name:ip`);
  if (address !== "host-gateway") {
    if (isIP(address) === 0) throw new HullError("invalid-argument", `invalid IP address in add-host: "${address}"`);
    return [`${address}\t${name}`];
  }
  if (hostGateway.length === 0)
    throw new HullError(
      "failed-precondition",
      `unable to derive the IP value for host-gateway: no default bridge; give ${name} an address`,
    );
  return hostGateway.map((one) => `${one}\t${name}`);
}

export function writeEngineFiles(
  directory: string,
  files: { readonly hosts: string; readonly hostname: string; readonly resolvConf: string },
): void {
  writeFileSync(`${directory}/hosts`, files.hosts, { mode: 0o644 });
  writeFileSync(`${directory}/hostname`, `${files.hostname}\n`, { mode: 0o644 });
  writeFileSync(`${directory}/resolv.conf`, files.resolvConf, { mode: 0o644 });
}
