/**
 * Where a registry's requests go: its mirrors first, then itself, each with its certificates and abilities. From hosts.toml where the registry has
 * one (containerd's hosts.md), else from settings and Docker's certs.d.
 */
import { readdir, readFile, stat } from "node:fs/promises";
import { dirname, isAbsolute, join } from "node:path";
import { HullError } from "../../platform/errors.ts";
import { parseToml } from "../../platform/toml.ts";
import { type ClientTls, withSystemRoots } from "../../platform/web-fetch.ts";
import { DOCKER_HUB, DOCKER_HUB_HOST } from "./credentials.ts";
import { isInsecure, type RegistrySettings } from "./settings.ts";

export type Ability = "pull" | "resolve" | "push";

export interface Endpoint {
  /** API roots without a last slash, tried in order until one answers: "https://host/v2", then "http://host/v2" where that is allowed. */
  readonly roots: readonly string[];
  readonly host: string;
  readonly isMirror: boolean;
  readonly abilities: ReadonlySet<Ability>;
  readonly tls: ClientTls;
  readonly headers: Readonly<Record<string, string>>;
}

const everything: ReadonlySet<Ability> = new Set(["pull", "resolve", "push"]);
const reading: ReadonlySet<Ability> = new Set(["pull", "resolve"]);

/** `registry`: a reference's domain. */
export async function endpointsOf(registry: string, settings: RegistrySettings): Promise<Endpoint[]> {
  const host = registry === DOCKER_HUB ? DOCKER_HUB_HOST : registry;
  for (const directory of await registryDirectories(registry, host, settings)) {
    const path = join(directory, "hosts.toml");
    const text = await readFile(path, "utf8").catch(ifMissing);
    if (text !== undefined) return fromHostsFile({ path, text, host, settings });
  }
  const mirrors = settings.mirrors[registry] ?? [];
  const listed = mirrors.map((url) => plainEndpoint(new URL(url), { settings, isMirror: true }));
  return Promise.all([...listed, plainEndpoint(new URL(`https://${host}/`), { settings, isMirror: false })]);
}

interface Plain {
  readonly settings: RegistrySettings;
  readonly isMirror: boolean;
}

async function plainEndpoint(url: URL, { settings, isMirror }: Plain): Promise<Endpoint> {
  const insecure = isInsecure(settings, url.host);
  const path = url.pathname.replace(/\/+$/, "").replace(/\/v2$/, "");
  const schemes = url.protocol === "http:" ? ["http:"] : insecure ? ["https:", "http:"] : ["https:"];
  return {
    roots: schemes.map((scheme) => `${scheme}//${url.host}${path}/v2`),
    host: url.host,
    isMirror,
    abilities: isMirror ? reading : everything,
    tls: await dockerCertificates(url.host, settings, !insecure),
    headers: {},
  };
}

/** Names that a registry's directory may have; absent ones too. */
async function registryDirectories(registry: string, host: string, settings: RegistrySettings): Promise<string[]> {
  const names = [...new Set([registry, host])].flatMap((name) => [name, name.replace(/:(\d+)$/, "_$1_")]);
  return settings.certDirectories.flatMap((directory) => [...names, "_default"].map((name) => join(directory, name)));
}

/** certs.d/<host:port>/: *.crt are authorities, *.cert with *.key of the same name who we are. */
async function dockerCertificates(host: string, settings: RegistrySettings, verify: boolean): Promise<ClientTls> {
  const ca: string[] = [];
  let own: { cert?: string; key?: string } = {};
  for (const directory of settings.certDirectories.map((parent) => join(parent, host))) {
    for (const name of ((await readdir(directory).catch(ifMissing)) ?? []).sort()) {
      const path = join(directory, name);
      if (name.endsWith(".crt")) ca.push(await readFile(path, "utf8"));
      if (name.endsWith(".key"))
        await requireFile(path.replace(/\.key$/, ".cert"), `missing client certificate for ${path}`);
      if (!name.endsWith(".cert")) continue;
      const keyPath = path.replace(/\.cert$/, ".key");
      await requireFile(
        keyPath,
        `missing key ${keyPath} for client certificate ${path}. CA certificates must use the extension .crt`,
      );
      own = { cert: await readFile(path, "utf8"), key: await readFile(keyPath, "utf8") };
    }
  }
  return withSystemRoots({ verify, ca, ...own });
}

async function requireFile(path: string, otherwise: string): Promise<void> {
  if ((await stat(path).catch(ifMissing)) === undefined) throw new HullError("invalid-argument", otherwise);
}

function ifMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
  throw error;
}

interface HostsFile {
  readonly path: string;
  readonly text: string;
  readonly host: string;
  readonly settings: RegistrySettings;
}

async function fromHostsFile({ path, text, host, settings }: HostsFile): Promise<Endpoint[]> {
  const parsed = parseToml(path, text);
  const tables = Object.entries((parsed.host ?? {}) as Readonly<Record<string, HostTable>>);
  const server = typeof parsed.server === "string" ? parsed.server : `https://${host}`;
  const insecure = isInsecure(settings, host);
  const entries = [...tables, [server, parsed as HostTable] as const];
  return Promise.all(
    entries.map(async ([url, table], i) => {
      const isMirror = i < tables.length;
      const parts = { path, table, isMirror, verify: !(table.skip_verify ?? (!isMirror && insecure)) };
      return tableEndpoint(/^https?:\/\//.test(url) ? url : `https://${url}`, parts);
    }),
  );
}

/** A table of hosts.toml. */
interface HostTable {
  readonly capabilities?: readonly string[];
  readonly ca?: string | readonly string[];
  readonly client?: string | readonly (string | readonly string[])[];
  readonly skip_verify?: boolean;
  readonly override_path?: boolean;
  readonly header?: Readonly<Record<string, string | readonly string[]>>;
}

interface TableParts {
  readonly path: string;
  readonly table: HostTable;
  readonly isMirror: boolean;
  readonly verify: boolean;
}

async function tableEndpoint(address: string, { path, table, isMirror, verify }: TableParts): Promise<Endpoint> {
  const url = new URL(address);
  const abilities = new Set((table.capabilities ?? [...everything]) as Ability[]);
  const unknown = [...abilities].find((name) => !everything.has(name) && (name as string) !== "referrers");
  if (unknown !== undefined) throw new HullError("invalid-argument", `${path}: unknown capability ${unknown}`);
  const base = `${url.protocol}//${url.host}${url.pathname.replace(/\/+$/, "")}`;
  const headers = Object.entries(table.header ?? {}).map(([name, value]) => [name, [value].flat().join(", ")]);
  const read = (file: string) => readFile(isAbsolute(file) ? file : join(dirname(path), file), "utf8");
  const ca = await Promise.all([table.ca ?? []].flat().map(read));
  const [cert, key] = [[table.client ?? []].flat()[0] ?? []].flat();
  const own = cert === undefined ? {} : { cert: await read(cert), key: await read(key ?? cert) };
  return {
    roots: [table.override_path || /\/v2$/.test(base) ? base : `${base}/v2`],
    host: url.host,
    isMirror,
    abilities,
    tls: await withSystemRoots({ verify, ca, ...own }),
    headers: Object.fromEntries(headers) as Record<string, string>,
  };
}
