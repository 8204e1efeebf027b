/** Flags and daemon.json become one checked DaemonConfig. Errors in dockerd's words; nothing is changed on the machine. */
import { readFileSync } from "node:fs";
import { isAbsolute } from "node:path";
import { HullError, messageOf } from "../platform/errors.ts";
import { defaultSettings, parseMirrors, type RegistrySettings } from "../registry/client/settings.ts";
import {
  type DaemonConfig,
  defaultEntitlements,
  type LogLevel,
  logLevels,
  type NetworkSettings,
  type TlsSettings,
} from "./config.ts";
import { type SettingKind, settingByKey, settings } from "./config-keys.ts";
import { fromJson, type Value, type ValueOf } from "./config-values.ts";

export const DEFAULT_DATA_ROOT = "/var/lib/hull";
export const DEFAULT_EXEC_ROOT = "/run/hull";
const DEFAULT_CONFIG_FILE = "/etc/hull/daemon.json";

export type Given = ReadonlyMap<string, Value>;
const bad = (message: string): HullError => new HullError("invalid-argument", message);

/** Reads daemon.json and merges. Throws invalid-argument. */
export function loadConfig(flags: Given): DaemonConfig {
  const explicit = flags.get("config-file") as string | undefined;
  const path = explicit ?? DEFAULT_CONFIG_FILE;
  try {
    const file = readFileValues(path, explicit !== undefined);
    refuseConflicts(flags, file);
    return buildConfig(new Map([...file, ...flags]), path);
  } catch (error) {
    if (error instanceof ConfigError) {
      throw bad(`unable to configure the Docker daemon with file ${path}: ${error.message}`);
    }
    throw error;
  }
}

class ConfigError extends Error {}

function readFileValues(path: string, mustExist: boolean): Given {
  const text = readText(path, mustExist);
  if (text === undefined || text.trim() === "") return new Map();
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new ConfigError(messageOf(error));
  }
  if (typeof json !== "object" || json === null || Array.isArray(json)) throw new ConfigError("want a JSON object");
  const unknown = Object.keys(json).filter((key) => !settingByKey.has(key));
  if (unknown.length > 0) {
    throw new ConfigError(`the following directives don't match any configuration option: ${unknown.join(", ")}`);
  }
  return new Map(Object.entries(json).map(([key, value]) => fileEntry(key, value)));
}

function fileEntry(key: string, value: unknown): [string, Value] {
  const entry = settingByKey.get(key)!;
  try {
    return [entry.flag, fromJson(entry, value)];
  } catch (error) {
    throw new ConfigError(messageOf(error));
  }
}

function readText(path: string, mustExist: boolean): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (!mustExist && (error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    const reason = (error as NodeJS.ErrnoException).code === "ENOENT" ? "no such file or directory" : messageOf(error);
    throw new ConfigError(`open ${path}: ${reason}`);
  }
}

function refuseConflicts(flags: Given, file: Given): void {
  const both = settings.filter((entry) => entry.key !== "" && flags.has(entry.flag) && file.has(entry.flag));
  if (both.length === 0) return;
  const show = (value: Value | undefined) => (Array.isArray(value) ? `[${value.join(" ")}]` : String(value));
  const list = both.map(
    ({ flag, key }) => `${key}: (from flag: ${show(flags.get(flag))}, from file: ${show(file.get(flag))})`,
  );
  throw new ConfigError(
    `the following directives are specified both as a flag and in the configuration file: ${list.join(", ")}`,
  );
}

type Reader = <K extends SettingKind>(kind: K, flag: string) => ValueOf[K] | undefined;

function buildConfig(values: Given, configFile: string): DaemonConfig {
  const read: Reader = (_kind, flag) => values.get(flag) as never;
  refuseUnsupported(read);
  const dataRoot = absolute(read("text", "data-root") ?? DEFAULT_DATA_ROOT, "data-root");
  const execRoot = absolute(read("text", "exec-root") ?? DEFAULT_EXEC_ROOT, "exec-root");
  const hosts = read("list", "host") ?? [];
  const debug = read("bool", "debug") ?? false;
  const defaultRoots = dataRoot === DEFAULT_DATA_ROOT && execRoot === DEFAULT_EXEC_ROOT;
  return {
    dataRoot,
    execRoot,
    pidFile: read("text", "pidfile") ?? `${execRoot}/hulld.pid`,
    configFile,
    hosts: hosts.length > 0 ? hosts : [`unix://${execRoot}/docker.sock`],
    defaultHosts: hosts.length === 0 && defaultRoots,
    group: read("text", "group") ?? "docker",
    tls: tlsOf(read),
    insecureTcp: read("bool", "insecure-tcp") ?? false,
    debug,
    logLevel: oneOf("log-level", read("text", "log-level") ?? (debug ? "debug" : "info"), logLevels) as LogLevel,
    logFormat: oneOf("log-format", read("text", "log-format") ?? "text", ["text", "json"]) as "text" | "json",
    logDriver: oneOf("log-driver", read("text", "log-driver") ?? "json-file", ["json-file", "none"]),
    logOpts: read("map", "log-opt") ?? {},
    storageDriver: oneOf("storage-driver", read("text", "storage-driver") ?? "", ["", "overlay2", "overlayfs", "vfs"]),
    labels: labelsOf(read("list", "label") ?? []),
    liveRestore: true,
    rehearse: read("bool", "rehearse") ?? true,
    insecureRegistries: read("list", "insecure-registry") ?? [],
    registryMirrors: mirrorsOf(read("list", "registry-mirror") ?? []),
    trustedAuthRealms: read("list", "trusted-auth-realm") ?? [],
    allowNondistributable: read("list", "allow-nondistributable-artifacts") ?? [],
    builderIdleSeconds: notNegative("builder-idle-timeout", read("int", "builder-idle-timeout") ?? 0),
    builderEntitlements: read("entitlements", "builder-entitlement") ?? defaultEntitlements,
    maxConcurrentBuilds: notNegative("max-concurrent-builds", read("int", "max-concurrent-builds") ?? 0),
    maxConcurrentDownloads: positive("max-concurrent-downloads", read("int", "max-concurrent-downloads") ?? 3),
    maxConcurrentUploads: positive("max-concurrent-uploads", read("int", "max-concurrent-uploads") ?? 5),
    experimental: read("bool", "experimental") ?? false,
    shutdownTimeoutSeconds: read("int", "shutdown-timeout") ?? 15,
    network: networkOf(read),
    ...containerDefaults(read),
  };
}

function refuseUnsupported(read: Reader): void {
  if (read("text", "containerd") !== undefined) {
    throw bad("--containerd: hulld starts and watches its own hull-containerd; an external one is not supported yet");
  }
}

function containerDefaults(read: Reader) {
  const runtimes = read("runtimes", "add-runtime") ?? {};
  const defaultRuntime = read("text", "default-runtime") ?? "hull-runc";
  if (!["hull-runc", "runc"].includes(defaultRuntime) && !(defaultRuntime in runtimes)) {
    throw bad(`specified default runtime '${defaultRuntime}' does not exist`);
  }
  return {
    runtimes,
    defaultRuntime,
    defaultUlimits: read("ulimits", "default-ulimit") ?? [],
    cgroupParent: read("text", "cgroup-parent") ?? "",
    defaultShmBytes: read("bytes", "default-shm-size") ?? 64 * 1024 * 1024,
    defaultIpcMode: oneOf("default-ipc-mode", read("text", "default-ipc-mode") ?? "private", [
      "private",
      "shareable",
    ]) as "private" | "shareable",
    defaultCgroupnsMode: oneOf("default-cgroupns-mode", read("text", "default-cgroupns-mode") ?? "", [
      "",
      "private",
      "host",
    ]) as "private" | "host" | "",
    init: read("bool", "init") ?? false,
    initPath: read("text", "init-path") ?? "",
    noNewPrivileges: read("bool", "no-new-privileges") ?? false,
    seccompProfile: (read("text", "seccomp-profile") ?? "").replace(/^builtin$/, ""),
  };
}

function networkOf(read: Reader): NetworkSettings {
  const mtu = read("int", "mtu");
  return {
    bridge: read("text", "bridge") ?? "",
    bip: read("text", "bip") ?? "",
    fixedCidr: read("text", "fixed-cidr") ?? "",
    defaultGateway: read("text", "default-gateway") ?? "",
    mtu: mtu === 0 ? undefined : mtu,
    icc: read("bool", "icc") ?? true,
    iptables: read("bool", "iptables") ?? true,
    ip6tables: read("bool", "ip6tables") ?? true,
    ipForward: read("bool", "ip-forward") ?? true,
    ipMasq: read("bool", "ip-masq") ?? true,
    ipv6: read("bool", "ipv6") ?? false,
    ip: read("text", "ip") ?? "",
    userlandProxy: read("bool", "userland-proxy") ?? true,
    firewallBackend: oneOf("firewall-backend", read("text", "firewall-backend") ?? "", ["", "iptables", "nftables"]),
    defaultAddressPools: read("pools", "default-address-pool") ?? [],
    dns: read("list", "dns") ?? [],
    dnsOptions: read("list", "dns-opt") ?? [],
    dnsSearch: read("list", "dns-search") ?? [],
    hostGatewayIps: read("list", "host-gateway-ip") ?? [],
  };
}

function tlsOf(read: Reader): TlsSettings | undefined {
  const verify = read("bool", "tlsverify") ?? false;
  if (!verify && !(read("bool", "tls") ?? false)) return undefined;
  return {
    verify,
    caPath: read("text", "tlscacert") ?? "/etc/hull/ca.pem",
    certPath: read("text", "tlscert") ?? "/etc/hull/cert.pem",
    keyPath: read("text", "tlskey") ?? "/etc/hull/key.pem",
  };
}

function absolute(path: string, flag: string): string {
  if (!isAbsolute(path)) throw bad(`--${flag} must be an absolute path, not "${path}"`);
  return path.replace(/(.)\/+$/, "$1");
}

function oneOf(flag: string, value: string, accepted: readonly string[]): string {
  if (accepted.includes(value)) return value;
  throw bad(`invalid --${flag} "${value}": must be one of ${accepted.filter((item) => item !== "").join(", ")}`);
}

function notNegative(flag: string, value: number): number {
  if (value < 0) throw bad(`invalid ${flag}: ${value}`);
  return value;
}

function positive(flag: string, value: number): number {
  if (value < 1) throw bad(`invalid ${flag.replaceAll("-", " ")}: ${value}`);
  return value;
}

function labelsOf(labels: readonly string[]): readonly string[] {
  const wrong = labels.find((label) => !/^[^=\s]+=/.test(label));
  if (wrong !== undefined) throw bad(`bad attribute format: ${wrong}`);
  return labels;
}

function mirrorsOf(mirrors: readonly string[]): readonly string[] {
  parseMirrors(mirrors);
  return mirrors.map((mirror) => (mirror.endsWith("/") ? mirror : `${mirror}/`));
}

/** As hull-containerd reads it. */
export const registrySettings = (config: DaemonConfig): RegistrySettings => ({
  ...defaultSettings,
  mirrors: parseMirrors(config.registryMirrors),
  insecure: config.insecureRegistries,
  trustedRealms: config.trustedAuthRealms,
  allowNondistributable: config.allowNondistributable,
  maxDownloads: config.maxConcurrentDownloads,
  maxUploads: config.maxConcurrentUploads,
});
