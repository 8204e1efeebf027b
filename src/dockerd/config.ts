/** The daemon's settings after flags and daemon.json have been merged and checked: plain data that cannot be wrong. */

export interface Ulimit {
  readonly name: string;
  readonly soft: number;
  readonly hard: number;
}

/** PEM files of the TCP listeners. */
export interface TlsSettings {
  readonly verify: boolean;
  readonly caPath: string;
  readonly certPath: string;
  readonly keyPath: string;
}

export interface RuntimeSetting {
  readonly path: string;
  readonly args: readonly string[];
}

export interface AddressPool {
  readonly base: string;
  readonly size: number;
}

export const entitlements = ["network.host", "security.insecure"] as const;
export type Entitlement = (typeof entitlements)[number];
/** As dockerd has it. */
export const defaultEntitlements: readonly Entitlement[] = ["network.host"];

export interface DaemonConfig {
  readonly dataRoot: string;
  readonly execRoot: string;
  /** Empty: none is written. */
  readonly pidFile: string;
  readonly configFile: string;
  /** unix://path, tcp://host:port, fd:// ; at least one. */
  readonly hosts: readonly string[];
  /** The `-H` list was left empty, so that the default sockets serve. */
  readonly defaultHosts: boolean;
  /** Group of unix sockets: name or number. */
  readonly group: string;
  /** Present when TCP listeners use TLS. */
  readonly tls: TlsSettings | undefined;
  readonly insecureTcp: boolean;
  readonly debug: boolean;
  readonly logLevel: LogLevel;
  readonly logFormat: "text" | "json";
  /** Log driver and options of containers that give none. */
  readonly logDriver: string;
  readonly logOpts: Readonly<Record<string, string>>;
  /** Empty: containerd chooses. */
  readonly storageDriver: string;
  readonly runtimes: Readonly<Record<string, RuntimeSetting>>;
  readonly defaultRuntime: string;
  readonly liveRestore: boolean;
  /** See rehearsal/rehearsal.ts. */
  readonly rehearse: boolean;
  readonly labels: readonly string[];
  readonly insecureRegistries: readonly string[];
  /** "https://mirror/" of Docker Hub, "quay.io=https://mirror/" of another registry. */
  readonly registryMirrors: readonly string[];
  readonly trustedAuthRealms: readonly string[];
  readonly allowNondistributable: readonly string[];
  readonly defaultUlimits: readonly Ulimit[];
  readonly network: NetworkSettings;
  readonly cgroupParent: string;
  readonly defaultShmBytes: number;
  readonly defaultIpcMode: "private" | "shareable";
  readonly defaultCgroupnsMode: "private" | "host" | "";
  readonly init: boolean;
  readonly initPath: string;
  readonly noNewPrivileges: boolean;
  /** Empty: the built-in profile; "unconfined"; or a path of a JSON profile. */
  readonly seccompProfile: string;
  /** Seconds a stopping daemon waits for containers. */
  readonly shutdownTimeoutSeconds: number;
  /** 0: the builder chooses, here and in the next. */
  readonly builderIdleSeconds: number;
  readonly maxConcurrentBuilds: number;
  /** What builds may have when their clients allow it. */
  readonly builderEntitlements: readonly Entitlement[];
  readonly maxConcurrentDownloads: number;
  readonly maxConcurrentUploads: number;
  readonly experimental: boolean;
}

/** What netd is told; empty and undefined leave its own choice. */
export interface NetworkSettings {
  readonly bridge: string;
  readonly bip: string;
  readonly fixedCidr: string;
  readonly defaultGateway: string;
  readonly mtu: number | undefined;
  readonly icc: boolean;
  readonly iptables: boolean;
  readonly ip6tables: boolean;
  readonly ipForward: boolean;
  readonly ipMasq: boolean;
  readonly ipv6: boolean;
  /** Default host address of published ports. */
  readonly ip: string;
  readonly userlandProxy: boolean;
  readonly firewallBackend: string;
  readonly defaultAddressPools: readonly AddressPool[];
  readonly dns: readonly string[];
  readonly dnsOptions: readonly string[];
  readonly dnsSearch: readonly string[];
  readonly hostGatewayIps: readonly string[];
}

export const logLevels = ["debug", "info", "warn", "error", "fatal"] as const;
export type LogLevel = (typeof logLevels)[number];
