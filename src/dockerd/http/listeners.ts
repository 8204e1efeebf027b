/** Where the API listens: unix sockets, TCP with TLS, sockets handed over by systemd. Lifecycle: open all -> close all. */
import { readFileSync } from "node:fs";
import net from "node:net";
import tls from "node:tls";
import { during, HullError } from "../../platform/errors.ts";
import { listenUnix } from "../../platform/unix-listener.ts";
import type { DaemonConfig } from "../config.ts";

export interface Listener {
  /** As given: "unix:///run/hull/docker.sock". */
  readonly host: string;
  close(): Promise<void>;
}

export interface ListenPorts {
  readonly config: DaemonConfig;
  readonly accept: (socket: net.Socket) => void;
  readonly onNotice: (message: string) => void;
}

/** Opens every host; when one fails those opened before are closed again. Throws with the host's name. */
export async function openListeners(hosts: readonly string[], ports: ListenPorts): Promise<Listener[]> {
  const open: Listener[] = [];
  try {
    for (const host of hosts) open.push(...(await openHost(host, ports)));
    return open;
  } catch (error) {
    await Promise.all(open.map((listener) => listener.close()));
    throw error;
  }
}

const bad = (message: string): HullError => new HullError("invalid-argument", message);

/** Refuses what could not be opened or must not be. Nothing is opened. */
export function checkHosts(config: DaemonConfig): void {
  for (const host of config.hosts) {
    if (host.startsWith("unix://") && host.length > "unix://".length) continue;
    if (host.startsWith("fd://")) continue;
    if (!host.startsWith("tcp://"))
      throw bad(`invalid bind address (${host}): should be unix://path, tcp://host:port or fd://`);
    parseTcp(host, config);
    if (config.tls || config.insecureTcp) continue;
    throw bad(
      `${host}: whoever reaches this address would be root on this machine. Use --tlsverify with --tlscacert, --tlscert and --tlskey, or --insecure-tcp if that is what you want`,
    );
  }
}

async function openHost(host: string, ports: ListenPorts): Promise<Listener[]> {
  try {
    if (host.startsWith("unix://")) return [await openUnix(host, ports)];
    if (host.startsWith("fd://")) return await openInherited(host, ports);
    return [await openTcp(host, ports)];
  } catch (error) {
    throw during(`failed to load listeners: ${host}`, error);
  }
}

async function openUnix(host: string, { config, accept, onNotice }: ListenPorts): Promise<Listener> {
  const path = host.slice("unix://".length);
  const group = groupId(config.group);
  if (group === undefined && config.group !== "docker") throw bad(`group ${config.group} not found`);
  const listener = await listenUnix({
    path,
    onConnection: accept,
    mode: group === undefined ? 0o600 : 0o660,
    allowHalfOpen: true,
    onRecreated: (error) =>
      onNotice(error ? `${path} cannot be made again: ${String(error)}` : `${path} was gone and is back`),
    ...(group === undefined ? {} : { group }),
  });
  return { host, close: () => listener.close() };
}

/** By number or by name in /etc/group; undefined when there is none. */
function groupId(group: string): number | undefined {
  if (/^\d+$/.test(group)) return Number(group);
  const line = readFileSync("/etc/group", "utf8")
    .split("\n")
    .find((entry) => entry.startsWith(`${group}:`));
  return line === undefined ? undefined : Number(line.split(":")[2]);
}

interface TcpAddress {
  readonly host: string;
  readonly port: number;
}

function parseTcp(text: string, config: DaemonConfig): TcpAddress {
  const match = /^tcp:\/\/(\[[0-9a-fA-F:.]+\]|[^:/\s]*)(?::(\d{1,5}))?\/?$/.exec(text);
  const port = Number(match?.[2] ?? (config.tls ? 2376 : 2375));
  if (!match || port > 65535) throw bad(`invalid bind address (${text}): should be tcp://host:port`);
  return { host: match[1]!.replace(/^\[|\]$/g, "") || "127.0.0.1", port };
}

async function openTcp(text: string, { config, accept }: ListenPorts): Promise<Listener> {
  const server = config.tls
    ? tls.createServer(tlsOptions(config.tls), accept)
    : net.createServer({ allowHalfOpen: true }, accept);
  await listening(server, parseTcp(text, config));
  return { host: text, close: async () => void server.close() };
}

function tlsOptions(settings: NonNullable<DaemonConfig["tls"]>): tls.TlsOptions & { allowHalfOpen: boolean } {
  return {
    allowHalfOpen: true,
    cert: readFileSync(settings.certPath),
    key: readFileSync(settings.keyPath),
    minVersion: "TLSv1.2",
    ...(settings.verify ? { ca: readFileSync(settings.caPath), requestCert: true, rejectUnauthorized: true } : {}),
  };
}

/** sd_listen_fds(3): descriptors from 3 on. */
async function openInherited(host: string, { accept }: ListenPorts): Promise<Listener[]> {
  const count = process.env.LISTEN_PID === String(process.pid) ? Number(process.env.LISTEN_FDS ?? 0) : 0;
  if (count < 1) throw bad("no sockets found via socket activation: make sure the service was started by systemd");
  return Promise.all(
    Array.from({ length: count }, async (_, i) => {
      const server = net.createServer({ allowHalfOpen: true }, accept);
      await listening(server, { fd: 3 + i });
      return { host, close: async () => void server.close() };
    }),
  );
}

function listening(server: net.Server, options: net.ListenOptions | { readonly fd: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(options, () => {
      server.off("error", reject);
      server.on("error", () => {}); // A failed accept concerns one client.
      resolve();
    });
  });
}

/** True when a process answers on a unix socket. */
export function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ path });
    const settle = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once("connect", () => settle(true));
    socket.once("error", () => settle(false));
  });
}
