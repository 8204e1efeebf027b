/**
 * Every setting of the daemon: dockerd's flag, its key in daemon.json and what kind of value it has. Data only; both readers and the
 * help text come from this table.
 */
export type SettingKind =
  | "bool"
  | "text"
  | "int"
  | "bytes"
  | "list"
  | "map"
  | "ulimits"
  | "pools"
  | "runtimes"
  | "entitlements";

export interface Setting {
  /** Flag without dashes. */
  readonly flag: string;
  readonly short?: string;
  readonly kind: SettingKind;
  /** Key in daemon.json; empty: only a flag. */
  readonly key: string;
  readonly help: string;
  /** A SIGHUP takes over a new value. */
  readonly reloads?: boolean;
}

type Options = { readonly key?: string; readonly short?: string; readonly reloads?: boolean };

const setting = (flag: string, kind: SettingKind, help: string, options: Options = {}): Setting => ({
  flag,
  kind,
  help,
  key: flag,
  ...options,
});

export const settings: readonly Setting[] = [
  setting("allow-nondistributable-artifacts", "list", "Registries that layers of limited distribution are pushed to", {
    reloads: true,
  }),
  setting("bip", "text", "Address of the default bridge (CIDR)"),
  setting("bridge", "text", "Attach containers to this bridge", { short: "b" }),
  setting("builder-idle-timeout", "int", "Seconds without builds after which hull-buildkitd ends (default 600)", {
    reloads: true,
  }),
  setting("builder-entitlement", "entitlements", "What builds may be allowed (network.host, security.insecure)", {
    key: "builder",
    reloads: true,
  }),
  setting("cgroup-parent", "text", "Parent cgroup of all containers"),
  setting("config-file", "text", "Daemon configuration file", { key: "" }),
  setting("containerd", "text", "Refused: hulld starts its own containerd", { key: "containerd" }),
  setting("data-root", "text", "Root directory of persistent state"),
  setting("debug", "bool", "Debug mode", { short: "D", reloads: true }),
  setting("default-address-pool", "pools", "Address pools for networks", { key: "default-address-pools" }),
  setting("default-cgroupns-mode", "text", "Cgroup namespace of containers (private or host)"),
  setting("default-gateway", "text", "Default gateway of the default bridge"),
  setting("default-ipc-mode", "text", "IPC mode of containers (private or shareable)"),
  setting("default-runtime", "text", "Default OCI runtime of containers", { reloads: true }),
  setting("default-shm-size", "bytes", "Size of /dev/shm of containers", { reloads: true }),
  setting("default-ulimit", "ulimits", "Ulimits of containers", { key: "default-ulimits" }),
  setting("dns", "list", "DNS servers of containers"),
  setting("dns-opt", "list", "DNS options of containers", { key: "dns-opts" }),
  setting("dns-search", "list", "DNS search domains of containers"),
  setting("exec-root", "text", "Root directory of run-time state"),
  setting("experimental", "bool", "Accepted; nothing here is experimental"),
  setting("firewall-backend", "text", "Backend of the firewall (iptables or nftables)"),
  setting("fixed-cidr", "text", "Subnet of the default bridge that containers get addresses from"),
  setting("group", "text", "Group of the unix socket", { short: "G" }),
  setting("host", "list", "Sockets to listen on (unix://, tcp://, fd://)", { key: "hosts", short: "H" }),
  setting("host-gateway-ip", "list", "Addresses that host-gateway stands for", { key: "host-gateway-ips" }),
  setting("icc", "bool", "Communication between containers of the default bridge"),
  setting("init", "bool", "Run an init in containers that reaps processes and forwards signals"),
  setting("init-path", "text", "Path of that init"),
  setting("insecure-registry", "list", "Registries without verified TLS", {
    key: "insecure-registries",
    reloads: true,
  }),
  setting("insecure-tcp", "bool", "Allow tcp:// without TLS: gives root to whoever reaches it"),
  setting("ip", "text", "Host address of published ports that name none"),
  setting("ip-forward", "bool", "Enable IP forwarding"),
  setting("ip-masq", "bool", "Masquerade what containers send out"),
  setting("ip6tables", "bool", "Rules for IPv6"),
  setting("iptables", "bool", "Rules of the firewall"),
  setting("ipv6", "bool", "IPv6 on the default bridge"),
  setting("label", "list", "Labels of the daemon (key=value)", { key: "labels", reloads: true }),
  setting("live-restore", "bool", "Accepted: containers always outlive the daemon here", { reloads: true }),
  setting("log-driver", "text", "Log driver of containers"),
  setting("log-format", "text", "Format of the daemon's own log (text or json)"),
  setting("log-level", "text", "Level of the daemon's own log", { short: "l" }),
  setting("log-opt", "map", "Log options of containers", { key: "log-opts" }),
  setting("max-concurrent-builds", "int", "Builds that run at once; others wait", { reloads: true }),
  setting("max-concurrent-downloads", "int", "Layers of a pull that are fetched at once", { reloads: true }),
  setting("max-concurrent-uploads", "int", "Layers of a push that are sent at once", { reloads: true }),
  setting("mtu", "int", "MTU of the default bridge"),
  setting("no-new-privileges", "bool", "no_new_privs for containers that don't say"),
  setting("pidfile", "text", "Where the process id is written", { short: "p" }),
  setting("registry-mirror", "list", "Mirrors of Docker Hub, or of another registry (REGISTRY=URL)", {
    key: "registry-mirrors",
    reloads: true,
  }),
  setting(
    "rehearse",
    "bool",
    "Start invisible containers when nothing else is to be done at first, so that the first real one starts fast",
  ),
  setting("add-runtime", "runtimes", "Further OCI runtimes (name=path)", { key: "runtimes", reloads: true }),
  setting("seccomp-profile", "text", "Default seccomp profile: a path, builtin or unconfined"),
  setting("shutdown-timeout", "int", "Seconds for a stop of all containers", { reloads: true }),
  setting("storage-driver", "text", "Storage driver", { short: "s" }),
  setting("tls", "bool", "TLS for TCP sockets (implied by --tlsverify)"),
  setting("tlscacert", "text", "Trust client certificates of this CA"),
  setting("tlscert", "text", "Certificate of the TCP sockets"),
  setting("tlskey", "text", "Key of that certificate"),
  setting("tlsverify", "bool", "TLS, and only clients with a trusted certificate"),
  setting("trusted-auth-realm", "list", "Token servers of other sites that may be sent a registry's credentials", {
    key: "trusted-auth-realms",
    reloads: true,
  }),
  setting("userland-proxy", "bool", "Relay what NAT cannot reach"),
];

export const settingByFlag = new Map(settings.map((entry) => [entry.flag, entry]));
export const settingByShort = new Map(
  settings.flatMap((entry) => (entry.short ? [[entry.short, entry] as const] : [])),
);
export const settingByKey = new Map(settings.flatMap((entry) => (entry.key ? [[entry.key, entry] as const] : [])));
