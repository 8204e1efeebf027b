/** Which engine a command talks to: -H, DOCKER_HOST, the current context, hulld's socket, docker's. */
import { builtins } from "../platform/builtins.ts";
import { HullError } from "../platform/errors.ts";
import type { Endpoint, TlsFiles } from "../platform/http-client.ts";
import { isThere, readIfThere } from "../platform/quick-file.ts";

export const HULL_SOCKET = "/run/hull/docker.sock";
export const DOCKER_SOCKET = "/var/run/docker.sock";

export interface GlobalOptions {
  readonly host?: string | undefined;
  readonly context?: string | undefined;
  readonly configDir: string;
  readonly tls?: TlsFiles | undefined;
}

export interface EngineAddress {
  /** As the user wrote it: "unix:///run/hull/docker.sock". */
  readonly host: string;
  readonly endpoint: Endpoint;
}

export const defaultConfigDir = (): string =>
  process.env.DOCKER_CONFIG ?? `${process.env.HOME || builtins.os.homedir()}/.docker`;

export function findEngine(options: GlobalOptions): EngineAddress {
  const host = options.host ?? process.env.DOCKER_HOST ?? hostOfContext(options) ?? defaultHost();
  return { host, endpoint: parseHost(host, options.tls) };
}

function defaultHost(): string {
  const path = isThere(HULL_SOCKET) || !isThere(DOCKER_SOCKET) ? HULL_SOCKET : DOCKER_SOCKET;
  return `unix://${path}`;
}

/** The host of the chosen context; undefined for the default one. */
function hostOfContext(options: GlobalOptions): string | undefined {
  const name = options.context ?? process.env.DOCKER_CONTEXT ?? currentContext(options.configDir);
  if (name === undefined || name === "" || name === "default") return undefined;
  const id = builtins.crypto.createHash("sha256").update(name).digest("hex");
  const path = `${options.configDir}/contexts/meta/${id}/meta.json`;
  const host = readJson(path)?.Endpoints?.docker?.Host;
  if (typeof host !== "string") {
    throw new HullError(
      "not-found",
      `Failed to initialize: unable to resolve docker endpoint: context "${name}": context not found: open ${path}: no such file or directory`,
    );
  }
  return host;
}

const currentContext = (configDir: string): string | undefined => readJson(`${configDir}/config.json`)?.currentContext;

interface ContextFile {
  readonly currentContext?: string;
  readonly Endpoints?: { readonly docker?: { readonly Host?: string } };
}

function readJson(path: string): ContextFile | undefined {
  const text = readIfThere(path);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as ContextFile;
  } catch (error) {
    throw new HullError("invalid-argument", `${path} is not valid JSON: repair or remove it`, { cause: error });
  }
}

/** Parses unix:// and tcp:// addresses. Throws invalid-argument in docker's words. */
export function parseHost(host: string, tls?: TlsFiles): Endpoint {
  if (host.startsWith("unix://")) return { kind: "unix", path: host.slice("unix://".length) || DOCKER_SOCKET };
  const tcp = /^(?:tcp|https?):\/\/(\[[^\]]+\]|[^:/]*)(?::(\d+))?\/?$/.exec(host);
  if (!tcp) throw new HullError("invalid-argument", `unable to parse docker host \`${host}\``);
  const port = tcp[2] === undefined ? (tls ? 2376 : 2375) : Number(tcp[2]);
  const address = tcp[1]!.replace(/^\[|\]$/g, "") || "127.0.0.1";
  return { kind: "tcp", host: address, port, ...(tls ? { tls } : {}) };
}
