/** hostname, hosts and resolv.conf of a container: made at create, filled at start, bound into it. */
import { randomBytes } from "node:crypto";
import { readFile, rename, writeFile } from "node:fs/promises";
import type { LogFileSettings } from "./log-config.ts";
import type { ContainerRecord } from "./record.ts";
import type { Sandbox } from "./sandboxes.ts";

export async function writeInitialFiles(record: ContainerRecord, log: LogFileSettings | undefined): Promise<void> {
  const { directory, config } = record;
  await Promise.all([
    writeFile(`${directory}/hostname`, `${config.Hostname}\n`, { mode: 0o644 }),
    writeFile(`${directory}/hosts`, hostsText(record, undefined), { mode: 0o644 }),
    writeFile(`${directory}/resolv.conf`, "", { mode: 0o644 }),
    ...(log ? [writeFile(log.path, "", { mode: 0o640, flag: "a" })] : []),
  ]);
}

/** Before a start: the addresses are known. Written in place, because a joined container may have them bound. */
export async function writeNetworkFiles(
  record: ContainerRecord,
  sandbox: Sandbox,
  links: readonly string[] = [],
): Promise<void> {
  const { directory, hostConfig } = record;
  const isHost = hostConfig.NetworkMode === "host";
  const hosts = isHost ? await hostHosts(record, sandbox) : hostsText(record, sandbox, links);
  await Promise.all([
    writeFile(`${directory}/hosts`, hosts),
    ...(sandbox.resolvConf === undefined ? [] : [writeFile(`${directory}/resolv.conf`, sandbox.resolvConf)]),
  ]);
}

const loopback = [
  "127.0.0.1\tlocalhost",
  "::1\tlocalhost ip6-localhost ip6-loopback",
  "fe00::\tip6-localnet",
  "ff00::\tip6-mcastprefix",
  "ff02::1\tip6-allnodes",
  "ff02::2\tip6-allrouters",
];

/** Pure. */
export function hostsText(
  record: ContainerRecord,
  sandbox: Sandbox | undefined,
  links: readonly string[] = [],
): string {
  const lines = [...loopback, ...extraLines(record, sandbox), ...links, ...ownLines(record, sandbox)];
  return lines.map((line) => `${line}\n`).join("");
}

function ownLines({ config }: ContainerRecord, sandbox: Sandbox | undefined): string[] {
  const full = config.Domainname === "" ? config.Hostname : `${config.Hostname}.${config.Domainname}`;
  const names = full.includes(".") ? `${full} ${full.slice(0, full.indexOf("."))}` : full;
  const endpoints = Object.values(sandbox?.endpoints ?? {});
  const addresses = endpoints
    .flatMap((endpoint) => [endpoint.IPAddress, endpoint.GlobalIPv6Address])
    .filter((address) => address !== "");
  return addresses.map((address) => `${address}\t${names}`);
}

function extraLines({ hostConfig }: ContainerRecord, sandbox: Sandbox | undefined): string[] {
  return (hostConfig.ExtraHosts ?? []).flatMap((entry) => {
    const colon = entry.indexOf(":");
    const name = entry.slice(0, colon);
    const address = entry.slice(colon + 1).replace(/^\[(.*)\]$/, "$1");
    const addresses = address === "host-gateway" ? (sandbox?.hostGateway ?? []) : [address];
    return addresses.map((one) => `${one}\t${name}`);
  });
}

/** Host mode sees the host's own file, with what was asked for at its end. */
async function hostHosts(record: ContainerRecord, sandbox: Sandbox): Promise<string> {
  const text = await readFile("/etc/hosts", "utf8").catch(() =>
    hostsText({ ...record, hostConfig: { ...record.hostConfig, ExtraHosts: null } }, undefined),
  );
  const own = extraLines(record, sandbox);
  return own.length === 0 ? text : `${text.replace(/\n?$/, "\n")}${own.map((line) => `${line}\n`).join("")}`;
}

/** Replaces a file of the container's directory in one step. */
export async function replaceFile(path: string, text: string): Promise<void> {
  const temporary = `${path}.${randomBytes(4).toString("hex")}`;
  await writeFile(temporary, text, { mode: 0o644 });
  await rename(temporary, path);
}
